SELECT DATE_TRUNC('month', created_at) AS month, SUM(total) FROM orders GROUP BY month ORDER BY month
SELECT DATE_TRUNC('month', created_at), COUNT(*) FROM orders GROUP BY 1
SELECT EXTRACT(YEAR FROM created_at) AS year, COUNT(*) FROM orders GROUP BY year
SELECT * FROM orders WHERE created_at >= NOW() - INTERVAL '7 days'
SELECT * FROM orders WHERE created_at >= CURRENT_DATE - INTERVAL '1 month'
SELECT * FROM orders WHERE created_at::date = CURRENT_DATE
SELECT total::numeric FROM orders
SELECT name FROM customers WHERE name ILIKE '%ann%'
SELECT name FROM customers WHERE email ~ '^a'
SELECT STRING_AGG(name, ', ') FROM customers
SELECT department, STRING_AGG(name, ', ' ORDER BY name) FROM employees GROUP BY department
SELECT department, ARRAY_AGG(name) FROM employees GROUP BY department
SELECT name || ' from ' || city FROM customers
SELECT CONCAT(name, ' ', city) FROM customers
SELECT TO_CHAR(created_at, 'YYYY-MM') FROM orders
SELECT name FROM employees ORDER BY salary DESC NULLS LAST
SELECT COUNT(*) FILTER (WHERE status = 'paid') FROM orders
SELECT name FROM products ORDER BY price DESC FETCH FIRST 5 ROWS ONLY
SELECT DISTINCT ON (customer_id) customer_id, total FROM orders ORDER BY customer_id, created_at DESC
SELECT name FROM customers WHERE id = ANY (SELECT customer_id FROM orders)
SELECT name, DENSE_RANK() OVER (PARTITION BY department ORDER BY salary DESC) FROM employees
SELECT name, LAG(salary, 1) OVER (ORDER BY hired_on) FROM employees
SELECT name, salary - AVG(salary) OVER (PARTITION BY department) FROM employees
SELECT AGE(hired_on) FROM employees
SELECT DATE_PART('year', hired_on) FROM employees
SELECT name FROM customers ORDER BY RANDOM() LIMIT 1
SELECT name FROM customers FULL OUTER JOIN orders ON customers.id = orders.customer_id
SELECT "name" FROM customers
SELECT SPLIT_PART(email, '@', 2) AS domain, COUNT(*) FROM customers GROUP BY domain
SELECT GREATEST(price, 10) FROM products
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY salary) FROM employees
SELECT CAST(total AS NUMERIC(10, 2)) FROM orders
SELECT ROUND(total::numeric, 2) FROM orders
SELECT LEFT(name, 3) FROM customers
SELECT SUBSTRING(name FROM 1 FOR 3) FROM customers
INSERT INTO customers (name, city) VALUES ('Ada', 'Paris') RETURNING id
INSERT INTO products (id, stock) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET stock = EXCLUDED.stock
INSERT INTO customers (id, name) VALUES (1, 'Ada') ON CONFLICT DO NOTHING
UPDATE orders SET status = 'late' FROM customers WHERE customers.id = orders.customer_id AND customers.city = 'Rome'
DELETE FROM orders USING customers WHERE customers.id = orders.customer_id AND customers.city = 'Rome'
DELETE FROM orders WHERE created_at < NOW() - INTERVAL '1 year' RETURNING id
WITH RECURSIVE chain AS (SELECT id, manager_id FROM employees WHERE id = 1 UNION ALL SELECT e.id, e.manager_id FROM employees e JOIN chain c ON e.manager_id = c.id) SELECT id FROM chain
SELECT name FROM employees WHERE salary >= ALL (SELECT salary FROM employees)
