-- Delay percentiles per second: p50, p95 and p99 of both delays, by second of queueing, in ms.
-- By event time, over lines. Exact on the embedded engine, approximate on Athena.
-- Parameters: scan_from, scan_to, from_ms, to_ms, event_id
SELECT
  date_trunc('second', from_unixtime(timestamps.queuedAt / 1000)) AS sec_time,
  count(*) AS line_count,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.50
  ) AS p50_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.99
  ) AS p99_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.50
  ) AS p50_e2e_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_e2e_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.99
  ) AS p99_e2e_delay_ms
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND timestamps.queuedAt >= ?
  AND timestamps.queuedAt < ?
  AND ? IN ('', eventId)
GROUP BY 1
ORDER BY 1;
