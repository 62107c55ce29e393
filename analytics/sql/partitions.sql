-- Partitions: the hours that the table knows; a folder in the bucket may wait for its load.
-- Parameters: dt_from, dt_to
SELECT
  dt,
  hour
FROM "participation_logs$partitions"
WHERE dt BETWEEN ? AND ?
ORDER BY dt, hour;
