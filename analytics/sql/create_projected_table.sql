-- The twin of the table whose partitions Athena computes instead of looking them up.
-- It needs no partition load, and reads the same files. A query must bound dt: the projection
-- starts on 2024-01-01. <YOUR_BUCKET> stands for the lake's bucket.
-- Parameters: none
CREATE EXTERNAL TABLE IF NOT EXISTS participation_logs_projected (
  schemaVersion int,
  env string,
  eventId string,
  requestId string,
  eventType string,
  finalStatus string,
  resultCode string,
  timestamps struct<
    queuedAt:bigint,
    startedAt:bigint,
    finishedAt:bigint
  >,
  delivery struct<
    attempt:int,
    isDlq:boolean
  >,
  failure struct<
    failureClass:string,
    errorCode:string,
    errorMessage:string
  >,
  meta struct<
    workerId:string
  >
)
PARTITIONED BY (dt string, hour string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES (
  'ignore.malformed.json'='true'
)
LOCATION 's3://<YOUR_BUCKET>/events/'
TBLPROPERTIES (
  'projection.enabled'='true',
  'projection.dt.type'='date',
  'projection.dt.format'='yyyy-MM-dd',
  'projection.dt.range'='2024-01-01,NOW',
  'projection.dt.interval'='1',
  'projection.dt.interval.unit'='DAYS',
  'projection.hour.type'='integer',
  'projection.hour.range'='0,23',
  'projection.hour.digits'='2',
  'storage.location.template'='s3://<YOUR_BUCKET>/events/dt=${dt}/hour=${hour}/'
);
