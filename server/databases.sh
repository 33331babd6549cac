#!/bin/sh
# Makes a role and a database of one name, DATABASE. PostgreSQL's image runs it once, when its
# volume is empty.
set -eu

# \getenv keeps the password off the command line, where every user of the host could read it.
psql --username=postgres --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\getenv name DATABASE
\getenv password DATABASE_PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name", postgres FROM PUBLIC;
SQL
