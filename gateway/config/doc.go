// Package config turns one YAML file into the settings of a gateway: it reads
// strictly (an unknown key is an error with line and column), fills in
// ${env:NAME} and ${file:PATH}, checks that names point at something, and
// prints itself with its secrets hidden.
//
// It opens no connection and decides nothing; cmd wires what it describes. A
// setting's zero value is the safe one.
package config
