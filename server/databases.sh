#!/bin/sh
# Makes a role and a database for MLflow and for Optuna. PostgreSQL's image runs it once, when its
# volume is empty.
set -eu

# \getenv keeps the passwords off the command line, where every user of the host could read them.
psql --username=postgres --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 <<'SQL'
\getenv mlflow_password MLFLOW_DATABASE_PASSWORD
\getenv optuna_password OPTUNA_DATABASE_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE optuna LOGIN PASSWORD :'optuna_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE optuna OWNER optuna;
REVOKE CONNECT ON DATABASE mlflow, optuna FROM PUBLIC;
SQL
