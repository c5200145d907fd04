-- Revenue by minute of the event time, UTC. Minutes without a purchase have no row.
INSERT OVERWRITE TABLE ${revenue_minutely} PARTITION (`date`)
SELECT
  minute_of_day AS `minute`,
  COUNT(DISTINCT order_id) AS orders,
  COUNT(*) AS purchases,
  CAST(SUM(total) AS DECIMAL(18,2)) AS revenue,
  `date`
FROM (
  SELECT
    CONCAT(`date`, 'T', `hour`, ':', LPAD(CAST(MINUTE(event_time) AS STRING), 2, '0')) AS minute_of_day,
    order_id,
    total,
    `date`
  FROM ${purchases} p
) minutes
GROUP BY `date`, minute_of_day
