// Package golden keeps what versions of this library have stored: dumps of tables with a record in every state. What a version has
// begun, later ones must be able to read and to finish, also after a year.
package golden
