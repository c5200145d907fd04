-- Revenue by hour. An order whose purchases fall into two hours is counted in both.
INSERT OVERWRITE TABLE ${revenue_hourly} PARTITION (`date`)
SELECT
  `hour`,
  COUNT(DISTINCT order_id) AS orders,
  COUNT(*) AS purchases,
  SUM(quantity) AS units,
  CAST(SUM(total) AS DECIMAL(18,2)) AS revenue,
  `date`
FROM ${purchases} p
GROUP BY `date`, `hour`
