// Package integration has no code of its own: its tests run stores and wrappers on databases.
//
// PostgreSQL and MySQL or MariaDB are found at 127.0.0.1 and their standard port, database test (users postgres and root, no
// password), or by the DSNs in STEADFAST_TEST_POSTGRES and STEADFAST_TEST_MYSQL. Where there is none, its tests are skipped, unless
// STEADFAST_REQUIRE, a list with commas, names it (postgres, mysql). Each test makes tables of its own, and drops them.
package integration
