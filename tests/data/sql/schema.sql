CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, created_at DATE);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, total NUMERIC, status TEXT, created_at DATE);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC, category TEXT, stock INTEGER);
CREATE TABLE order_items (order_id INTEGER, product_id INTEGER, quantity INTEGER, price NUMERIC);
CREATE TABLE employees (id INTEGER PRIMARY KEY, name TEXT, department TEXT, salary NUMERIC, manager_id INTEGER, hired_on DATE);
