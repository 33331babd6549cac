# Shared by server/backup and server/restore, which source it.

databases=(mlflow optuna)
parts=(mlflow.dump optuna.dump artifacts.tar)

die() {
    echo "error: $*" >&2
    exit 2
}

service_of() { # service_of DATABASE: PostgreSQL's service that has it
    case "$1" in
    optuna) echo optuna-postgres ;;
    *) echo postgres ;;
    esac
}

in_database() { # in_database DATABASE COMMAND...: run a program beside a database's server
    local service
    service="$(service_of "$1")"
    docker compose exec -T "$service" "${@:2}"
}

sql() { # sql DATABASE [OTHER NAME]: run the statements of standard input
    in_database "$1" psql --username=postgres --dbname="${2:-postgres}" --no-psqlrc --quiet \
        --no-align --tuples-only --field-separator=' ' --set=ON_ERROR_STOP=1
}

restore_beside() { # restore_beside DATABASE NAME FILE: the dump as a database of another name
    sql "$1" <<SQL
CREATE DATABASE "$2" TEMPLATE template0 OWNER $1;
REVOKE CONNECT ON DATABASE "$2" FROM PUBLIC;
SQL
    in_database "$1" pg_restore --username=postgres --dbname="$2" \
        --single-transaction --exit-on-error <"$3"
}

drop() { # drop DATABASE NAME
    in_database "$1" dropdb --username=postgres --force --if-exists "$2" </dev/null
}

count_rows() { # count_rows DATABASE NAME: a line for each table
    sql "$1" "$2" <<SQL
SELECT format('SELECT %L, count(*) FROM %I.%I', '$1.' || table_name, table_schema, table_name)
FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY table_schema, table_name
\\gexec
SQL
}

objects() { # objects COMMAND...: see objects.py
    docker compose exec -T mlflow /server/start python /server/objects.py "$@"
}

sha256() { # sha256 ARGUMENTS OF sha256sum...
    if command -v sha256sum >/dev/null; then
        sha256sum "$@"
    else
        shasum -a 256 "$@" # macOS
    fi
}

require_platform() {
    local service
    for service in "$(service_of mlflow)" "$(service_of optuna)" mlflow; do
        docker compose exec -T "$service" true </dev/null >/dev/null 2>&1 \
            || die "the service $service does not run: docker compose up --detach --wait starts it"
    done
}
