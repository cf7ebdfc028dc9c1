# Sourced by the scripts that build the library for apps: "${phone[@]}" cargo .. builds it as they get it, under the profile `phone`.

# Of SQLite, what the store never uses is left out: search in text, JSON, R-trees, statistics of columns. Some 0.3 MB.
phone=(env "LIBSQLITE3_FLAGS=-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_JSON1
    -DSQLITE_OMIT_JSON -USQLITE_ENABLE_RTREE -USQLITE_ENABLE_STAT4 -USQLITE_ENABLE_DBSTAT_VTAB -USQLITE_ENABLE_COLUMN_METADATA
    -USQLITE_SOUNDEX")
