-- Delay percentiles over all events: queue delay and end-to-end delay in ms.
-- By arrival day, over the lines that have the times. Exact on the embedded engine, approximate
-- on Athena. One row; its percentiles are NULL where nothing arrived.
-- Parameters: dt_from, dt_to, event_id
SELECT
  count(timestamps.finishedAt - timestamps.queuedAt) AS line_count,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.50
  ) AS p50_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.99
  ) AS p99_queue_delay_ms,
  max(timestamps.startedAt - timestamps.queuedAt) AS max_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.50
  ) AS p50_e2e_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_e2e_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.99
  ) AS p99_e2e_delay_ms,
  max(timestamps.finishedAt - timestamps.queuedAt) AS max_e2e_delay_ms
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId);
