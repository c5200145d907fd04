-- The funnel Home -> Product -> Purchase, by sessions.
--
-- A session (user_id, session_id) reaches
--   1 home      with its first click on the page `home`,
--   2 product   with its first click on a page `product` at or after that,
--   3 purchase  with a purchase at or after that, of any product.
-- Only what happened on the day counts: a session that runs past midnight is judged on either day by that day's events
-- alone, so that a day's result never depends on another day's data. A session that enters the shop on a product page
-- and never sees `home` is in no step. `users` counts the distinct users of the step's sessions.
-- `of_first` and `of_previous` are NULL where that step has no session. There are always three rows.
INSERT OVERWRITE TABLE ${conversion_funnel} PARTITION (`date`)
WITH clicks AS (
  SELECT
    user_id, session_id, page, event_time, `date`,
    MIN(CASE WHEN page = 'home' THEN event_time END) OVER (PARTITION BY user_id, session_id) AS home_at
  FROM ${clicks} c
  WHERE page IN ('home', 'product')
),
sessions AS (
  SELECT
    user_id, session_id, home_at,
    MIN(CASE WHEN page = 'product' AND event_time >= home_at THEN event_time END) AS product_at
  FROM clicks
  WHERE home_at IS NOT NULL
  GROUP BY user_id, session_id, home_at
),
buyers AS (
  SELECT user_id, session_id, MAX(event_time) AS last_purchase_at
  FROM ${purchases} p
  GROUP BY user_id, session_id
),
reached AS (
  SELECT
    s.user_id,
    s.product_at IS NOT NULL AS product,
    COALESCE(b.last_purchase_at >= s.product_at, FALSE) AS purchase
  FROM sessions s
  LEFT JOIN buyers b ON b.user_id = s.user_id AND b.session_id = s.session_id
),
totals AS (
  SELECT
    COUNT(*) AS home_sessions,
    COUNT(DISTINCT user_id) AS home_users,
    COUNT(CASE WHEN product THEN 1 END) AS product_sessions,
    COUNT(DISTINCT CASE WHEN product THEN user_id END) AS product_users,
    COUNT(CASE WHEN purchase THEN 1 END) AS purchase_sessions,
    COUNT(DISTINCT CASE WHEN purchase THEN user_id END) AS purchase_users
  FROM reached
),
steps AS (
  SELECT CAST(1 AS BIGINT) AS step, 'home' AS name
  UNION ALL SELECT CAST(2 AS BIGINT), 'product'
  UNION ALL SELECT CAST(3 AS BIGINT), 'purchase'
),
funnel AS (
  SELECT
    step,
    name,
    CASE step WHEN 1 THEN home_sessions WHEN 2 THEN product_sessions ELSE purchase_sessions END AS sessions,
    CASE step WHEN 1 THEN home_users WHEN 2 THEN product_users ELSE purchase_users END AS `users`,
    home_sessions AS first_sessions,
    CASE step WHEN 3 THEN product_sessions ELSE home_sessions END AS previous_sessions
  FROM totals CROSS JOIN steps
)
SELECT
  step,
  name,
  sessions,
  `users`,
  CAST(CAST(sessions AS DECIMAL(18,4)) / NULLIF(first_sessions, 0) AS DECIMAL(7,4)) AS of_first,
  CAST(CAST(sessions AS DECIMAL(18,4)) / NULLIF(previous_sessions, 0) AS DECIMAL(7,4)) AS of_previous,
  ${date} AS `date`
FROM funnel
