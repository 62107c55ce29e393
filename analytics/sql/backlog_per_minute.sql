-- Backlog per minute: arrivals minus completions, cumulative, each request once.
-- By event time: a request waits from queuedAt to finishedAt. What was queued before the window
-- and finished in it or after it is in the backlog from the first minute on. Only requests whose
-- completion is in the lake are known. A minute without a change has no row.
-- Parameters: scan_from, scan_to, from_ms, to_ms, event_id, from_ms, from_ms, from_ms, to_ms
WITH publications AS (
  SELECT
    requestId,
    timestamps.queuedAt AS queued_ms,
    timestamps.finishedAt AS finished_ms,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY CASE WHEN eventType IS NULL THEN 1 ELSE 0 END, timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND timestamps.finishedAt >= ?
    AND timestamps.queuedAt < ?
    AND ? IN ('', eventId)
),
requests AS (
  SELECT queued_ms, finished_ms
  FROM publications
  WHERE publication = 1 OR requestId IS NULL
),
changes AS (
  SELECT
    CASE WHEN queued_ms >= ? THEN queued_ms ELSE ? END / 60000 AS epoch_minute,
    1 AS waiting,
    CASE WHEN queued_ms >= ? THEN 1 ELSE 0 END AS arrival,
    0 AS completion
  FROM requests
  UNION ALL
  SELECT finished_ms / 60000, -1, 0, 1
  FROM requests
  WHERE finished_ms < ?
)
SELECT
  from_unixtime(epoch_minute * 60) AS min_time,
  CAST(sum(arrival) AS BIGINT) AS arrivals,
  CAST(sum(completion) AS BIGINT) AS completions,
  CAST(sum(sum(waiting)) OVER (ORDER BY epoch_minute) AS BIGINT) AS backlog
FROM changes
GROUP BY epoch_minute
ORDER BY epoch_minute;
