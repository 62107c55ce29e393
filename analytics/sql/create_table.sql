-- The lake's table over the lines that Firehose wrote.
-- Partitions are loaded by hand: see repair_table.sql. <YOUR_BUCKET> stands for the lake's bucket.
-- Specification: g1 §9.1.
-- Parameters: none
CREATE EXTERNAL TABLE IF NOT EXISTS participation_logs (
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
  'projection.enabled'='false'
);
