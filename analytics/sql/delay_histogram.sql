-- Delay histogram: lines by queue delay and by end-to-end delay, in steps of 1-2-5 ms.
-- By arrival day. bucket_from_ms is the smallest delay of its bucket; -1 holds the negative ones.
-- Parameters: dt_from, dt_to, event_id
WITH delays AS (
  SELECT
    kinds.delay,
    CASE kinds.delay
      WHEN 'queue' THEN timestamps.startedAt - timestamps.queuedAt
      ELSE timestamps.finishedAt - timestamps.queuedAt
    END AS delay_ms
  FROM participation_logs
  CROSS JOIN (VALUES ('queue'), ('e2e')) AS kinds (delay)
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
)
SELECT
  delay,
  CAST(
    CASE
      WHEN delay_ms < 0 THEN -1
      WHEN delay_ms < 1 THEN 0
      WHEN delay_ms < 2 THEN 1
      WHEN delay_ms < 5 THEN 2
      WHEN delay_ms < 10 THEN 5
      WHEN delay_ms < 20 THEN 10
      WHEN delay_ms < 50 THEN 20
      WHEN delay_ms < 100 THEN 50
      WHEN delay_ms < 200 THEN 100
      WHEN delay_ms < 500 THEN 200
      WHEN delay_ms < 1000 THEN 500
      WHEN delay_ms < 2000 THEN 1000
      WHEN delay_ms < 5000 THEN 2000
      WHEN delay_ms < 10000 THEN 5000
      WHEN delay_ms < 20000 THEN 10000
      WHEN delay_ms < 50000 THEN 20000
      WHEN delay_ms < 100000 THEN 50000
      WHEN delay_ms < 200000 THEN 100000
      WHEN delay_ms < 500000 THEN 200000
      WHEN delay_ms < 1000000 THEN 500000
      WHEN delay_ms < 2000000 THEN 1000000
      WHEN delay_ms < 5000000 THEN 2000000
      WHEN delay_ms < 10000000 THEN 5000000
      ELSE 10000000
    END AS BIGINT
  ) AS bucket_from_ms,
  count(*) AS line_count
FROM delays
WHERE delay_ms IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2;
