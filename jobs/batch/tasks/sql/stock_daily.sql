-- Stock at the end of the day and its movements, by product and warehouse; those without a change have no row.
-- The last change is that of the latest event time; of several at one time the one written to Kafka last (a product's
-- changes share a partition). An alert is a change from above the critical threshold to it or below.
INSERT OVERWRITE TABLE ${stock_daily} PARTITION (`date`)
SELECT
  product_id,
  warehouse,
  MAX(CASE WHEN recency = 1 THEN stock_level END) AS stock_level,
  SUM(CASE WHEN reason = 'sale' THEN -`change` ELSE 0 END) AS sold,
  SUM(CASE WHEN reason IN ('restock', 'return') THEN `change` ELSE 0 END) AS restocked,
  SUM(CASE WHEN reason = 'adjustment' THEN `change` ELSE 0 END) AS adjusted,
  MAX(CASE WHEN recency = 1 THEN critical_threshold END) AS critical_threshold,
  COUNT(CASE WHEN ${becomes_critical} THEN 1 END) AS alerts,
  `date`
FROM (
  SELECT
    product_id, warehouse, stock_level, `change`, reason, critical_threshold, `date`,
    ROW_NUMBER() OVER (PARTITION BY product_id, warehouse ORDER BY event_time DESC, kafka_offset DESC) AS recency
  FROM ${inventory} i
) changes
GROUP BY `date`, product_id, warehouse
