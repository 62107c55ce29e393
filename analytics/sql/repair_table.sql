-- Load the partitions that Firehose added since the last load (g1 §9.2).
-- Parameters: none
MSCK REPAIR TABLE participation_logs;
