-- Duplicate publications: requests by the number of lines each has in the lake.
-- By arrival day. A redelivery publishes the stored decision again, so the lines of one request
-- agree: differing_count, the requests whose decision lines do not, must be 0. RequestFailed lines
-- are no decisions and count as lines only.
-- Parameters: dt_from, dt_to, event_id
WITH requests AS (
  SELECT
    requestId,
    count(*) AS lines,
    CASE
      WHEN min(CASE WHEN eventType IS NOT NULL THEN finalStatus END)
          <> max(CASE WHEN eventType IS NOT NULL THEN finalStatus END)
        OR min(CASE WHEN eventType IS NOT NULL THEN resultCode END)
          <> max(CASE WHEN eventType IS NOT NULL THEN resultCode END)
        OR min(CASE WHEN eventType IS NOT NULL THEN timestamps.queuedAt END)
          <> max(CASE WHEN eventType IS NOT NULL THEN timestamps.queuedAt END)
        OR min(CASE WHEN eventType IS NOT NULL THEN timestamps.finishedAt END)
          <> max(CASE WHEN eventType IS NOT NULL THEN timestamps.finishedAt END)
      THEN 1
      ELSE 0
    END AS differs
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND requestId IS NOT NULL
  GROUP BY requestId
)
SELECT
  lines AS lines_per_request,
  count(*) AS request_count,
  CAST(sum(lines) - count(*) AS BIGINT) AS repeated_line_count,
  CAST(sum(differs) AS BIGINT) AS differing_count
FROM requests
GROUP BY lines
ORDER BY lines;
