-- Retries: requests by the delivery that decided them; an attempt above 1 is a retry.
-- By arrival day, each request once.
-- Parameters: dt_from, dt_to, event_id
WITH publications AS (
  SELECT
    requestId,
    finalStatus,
    delivery.attempt AS attempt,
    delivery.isDlq AS is_dlq,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY CASE WHEN eventType IS NULL THEN 1 ELSE 0 END, timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND schemaVersion IS NOT NULL
)
SELECT
  attempt,
  count(*) AS request_count,
  round(count(*) * 100.0E0 / sum(count(*)) OVER (), 2) AS ratio_percent,
  count_if(is_dlq) AS dlq_count,
  count_if(finalStatus = 'FAILED_FINAL') AS failed_count
FROM publications
WHERE publication = 1 OR requestId IS NULL
GROUP BY attempt
ORDER BY attempt;
