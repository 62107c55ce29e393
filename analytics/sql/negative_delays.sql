-- Negative delays: lines whose times run backwards; must be 0.
-- By arrival day.
-- Specification: g1 §11.1.
-- Parameters: dt_from, dt_to, event_id
SELECT
  count(*) AS negative_delay_count
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
  AND (
    timestamps.finishedAt < timestamps.startedAt
    OR timestamps.startedAt < timestamps.queuedAt
    OR timestamps.finishedAt < timestamps.queuedAt
  );
