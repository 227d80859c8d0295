SELECT * FROM customers;
select * from customers where city = 'Paris'
SELECT DISTINCT city FROM customers
SELECT distinct(city) FROM customers
SELECT DISTINCT(city), name FROM customers ORDER BY city
SELECT COUNT(*) FROM orders
SELECT COUNT(DISTINCT customer_id) FROM orders
SELECT COUNT(DISTINCT(customer_id)) FROM orders
SELECT COUNT(*) AS n, city FROM customers GROUP BY city ORDER BY n DESC
SELECT city, COUNT(*) FROM customers GROUP BY 1 ORDER BY 2 DESC LIMIT 10
SELECT name, salary FROM employees ORDER BY salary DESC LIMIT 5 OFFSET 10
SELECT AVG(salary), MIN(salary), MAX(salary) FROM employees
SELECT department, AVG(salary) AS average FROM employees GROUP BY department HAVING AVG(salary) > 50000
SELECT department, COUNT(*) FROM employees GROUP BY department HAVING COUNT(*) >= 3 AND MAX(salary) < 100000
SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT c.name, o.total FROM customers AS c INNER JOIN orders AS o ON c.id = o.customer_id WHERE o.total > 100
SELECT c.name FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.id IS NULL
SELECT c.name, COUNT(o.id) FROM customers c LEFT JOIN orders o ON c.id = o.customer_id GROUP BY c.id, c.name
SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 500)
SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)
SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)
SELECT name FROM customers c WHERE NOT EXISTS (SELECT * FROM orders o WHERE o.customer_id = c.id)
SELECT name FROM customers WHERE name LIKE 'A%' OR name LIKE 'B%'
SELECT name FROM products WHERE price BETWEEN 10 AND 20
SELECT name FROM products WHERE category IN ('toys', 'books') AND stock > 0
SELECT name FROM products WHERE NOT (price > 10 OR stock = 0)
SELECT name FROM products WHERE (category = 'toys' OR category = 'books') AND price < 20
SELECT name, price * 1.2 AS gross FROM products
SELECT name, price * stock AS value FROM products ORDER BY price * stock DESC
SELECT SUM(quantity * price) FROM order_items
SELECT SUM(oi.quantity * oi.price) AS revenue FROM order_items oi JOIN products p ON p.id = oi.product_id WHERE p.category = 'toys'
SELECT p.name, SUM(oi.quantity) AS sold FROM products p JOIN order_items oi ON oi.product_id = p.id GROUP BY p.name ORDER BY sold DESC LIMIT 1
SELECT name FROM employees WHERE salary > (SELECT AVG(salary) FROM employees)
SELECT e.name, m.name FROM employees e JOIN employees m ON e.manager_id = m.id
SELECT e.name AS employee, m.name AS manager FROM employees e LEFT JOIN employees m ON e.manager_id = m.id
SELECT name, CASE WHEN salary > 80000 THEN 'high' ELSE 'low' END AS level FROM employees
SELECT SUM(CASE WHEN status = 'paid' THEN 1 ELSE 0 END) FROM orders
SELECT status, SUM(CASE WHEN total > 100 THEN total ELSE 0 END) AS big FROM orders GROUP BY status
SELECT COALESCE(email, 'none') FROM customers
SELECT UPPER(name), LOWER(city) FROM customers
SELECT ROUND(AVG(price), 2) FROM products
SELECT name FROM customers UNION SELECT name FROM employees
SELECT name FROM customers UNION ALL SELECT name FROM employees ORDER BY name
SELECT name, RANK() OVER (ORDER BY salary DESC) FROM employees
SELECT name, ROW_NUMBER() OVER (PARTITION BY department ORDER BY salary DESC) AS rn FROM employees
SELECT name, SUM(salary) OVER (PARTITION BY department) FROM employees
WITH big AS (SELECT customer_id, SUM(total) AS spent FROM orders GROUP BY customer_id) SELECT c.name, b.spent FROM customers c JOIN big b ON b.customer_id = c.id WHERE b.spent > 1000
SELECT department, name, salary FROM (SELECT department, name, salary, ROW_NUMBER() OVER (PARTITION BY department ORDER BY salary DESC) AS rn FROM employees) AS ranked WHERE rn = 1
SELECT AVG(spent) FROM (SELECT SUM(total) AS spent FROM orders GROUP BY customer_id) AS t
SELECT MAX(salary) FROM employees WHERE salary < (SELECT MAX(salary) FROM employees)
SELECT * FROM orders WHERE status <> 'paid' AND total >= 99.95
SELECT * FROM orders WHERE status != 'paid' ORDER BY created_at DESC, total
SELECT customers.name, orders.total FROM customers, orders WHERE customers.id = orders.customer_id
SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer_id
SELECT c.name, p.name, oi.quantity FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_items oi ON oi.order_id = o.id JOIN products p ON p.id = oi.product_id
SELECT name FROM employees WHERE department = 'Sales' AND hired_on >= '2020-01-01' AND hired_on < '2021-01-01'
SELECT name FROM employees WHERE manager_id IS NOT NULL
SELECT COUNT(*) FROM customers WHERE email LIKE '%@example.com'
SELECT COUNT(*) * 100.0 / (SELECT COUNT(*) FROM orders) FROM orders WHERE status = 'paid'
SELECT SUM(total) / COUNT(*) FROM orders
SELECT name FROM products ORDER BY price LIMIT 1
SELECT category, MAX(price) - MIN(price) AS spread FROM products GROUP BY category
SELECT CAST(total AS DECIMAL) FROM orders
SELECT AVG(salary) FROM employees WHERE department IN (SELECT department FROM employees GROUP BY department HAVING COUNT(*) > 2)
SELECT name FROM products WHERE price = (SELECT MAX(price) FROM products)
SELECT customer_id, total FROM orders o WHERE total > (SELECT AVG(total) FROM orders WHERE customer_id = o.customer_id)
SELECT name FROM products WHERE id NOT IN (1, 2, 3)
SELECT LENGTH(name) FROM customers WHERE LENGTH(name) > 10
SELECT NULLIF(stock, 0) FROM products
INSERT INTO customers (id, name, city) VALUES (1, 'Ada', 'Paris')
INSERT INTO customers(name, city) VALUES('Ada','Paris'),('Bob','Rome')
INSERT INTO products (name, price) SELECT name, price FROM products WHERE stock = 0
UPDATE products SET price = price * 1.1 WHERE category = 'toys'
UPDATE orders SET status = 'paid', total = 10 WHERE id = 7
UPDATE employees SET salary = (SELECT MAX(salary) FROM employees) WHERE id = 1
DELETE FROM orders WHERE status = 'cancelled'
DELETE FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)
DELETE FROM order_items
