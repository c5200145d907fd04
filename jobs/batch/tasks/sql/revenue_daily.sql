-- Revenue of the day. `orders` counts orders, `purchases` the products in them.
INSERT OVERWRITE TABLE ${revenue_daily} PARTITION (`date`)
SELECT
  COUNT(DISTINCT order_id) AS orders,
  COUNT(*) AS purchases,
  SUM(quantity) AS units,
  CAST(SUM(total) AS DECIMAL(18,2)) AS revenue,
  `date`
FROM ${purchases} p
GROUP BY `date`
