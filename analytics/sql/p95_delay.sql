-- p95 delays of each event: queue delay and end-to-end delay in ms.
-- By arrival day, over lines. An empty event_id means every event. Exact on the embedded engine,
-- approximate on Athena.
-- Specification: g1 §10.4.
-- Parameters: dt_from, dt_to, event_id
SELECT
  eventId,
  approx_percentile(
    CAST(timestamps.startedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_queue_delay_ms,
  approx_percentile(
    CAST(timestamps.finishedAt - timestamps.queuedAt AS BIGINT), 0.95
  ) AS p95_e2e_delay_ms
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
  AND eventId IS NOT NULL
GROUP BY eventId
ORDER BY eventId;
