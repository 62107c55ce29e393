-- DLQ share: how many of the well-formed lines came by way of the dead-letter queue.
-- By arrival day. One row; the share is NULL where nothing arrived.
-- Parameters: dt_from, dt_to, event_id
SELECT
  count(*) AS total_count,
  count_if(delivery.isDlq) AS dlq_count,
  round(count_if(delivery.isDlq) * 100.0E0 / nullif(count(*), 0), 2) AS dlq_percent
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
  AND schemaVersion IS NOT NULL;
