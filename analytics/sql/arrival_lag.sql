-- Arrival lag: for each partition hour, how far its lines' finishedAt is from it.
-- By arrival day, over lines that have finishedAt. Firehose names a file's hour by its oldest
-- record, so a line may be in the hour before its own (early); late ones came in a later hour.
-- Parameters: dt_from, dt_to, event_id
WITH lags AS (
  SELECT
    dt,
    hour,
    date_diff(
      'hour', TIMESTAMP '1970-01-01 00:00:00', date_parse(dt || ' ' || hour, '%Y-%m-%d %H')
    ) - timestamps.finishedAt / 3600000 AS lag_hours
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND timestamps.finishedAt IS NOT NULL
)
SELECT
  dt,
  hour,
  count(*) AS line_count,
  count_if(lag_hours < 0) AS early_count,
  count_if(lag_hours = 0) AS on_time_count,
  count_if(lag_hours > 0) AS late_count,
  max(lag_hours) AS max_lag_hours
FROM lags
GROUP BY 1, 2
ORDER BY 1, 2;
