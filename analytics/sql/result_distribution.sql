-- Result distribution: lines by result code and way through the DLQ.
-- By arrival day. A row without a result code counts malformed lines. The 100 is a double: a
-- decimal 100.0 makes Athena round the quotient to one digit before round() sees it.
-- Specification: g1 §10.3.
-- Parameters: dt_from, dt_to, event_id
SELECT
  resultCode,
  delivery.isDlq AS isDlq,
  count(*) AS total_count,
  round(count(*) * 100.0E0 / sum(count(*)) OVER (), 2) AS ratio_percent
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
GROUP BY 1, 2
ORDER BY total_count DESC, resultCode, isDlq;
