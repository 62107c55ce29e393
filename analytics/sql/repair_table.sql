-- Load the partitions that Firehose added since the last load.
-- Specification: g1 §9.2.
-- Parameters: none
MSCK REPAIR TABLE participation_logs;
