// Package config turns one YAML file into the settings of a gateway: it reads
// strictly (an unknown setting is an error with line and column), fills in
// ${env:NAME} and ${file:PATH}, with or without quotes around them, checks that
// names point at something, and prints itself with its secrets hidden. All
// faults are told at once.
//
// No error quotes what was filled in from outside, a secret, or a line of the
// file: errors end in logs.
//
// By itself it opens nothing but what is filled in, connects to nothing and
// decides nothing; [Checks] make it look at keys and files as well. cmd wires
// what it describes. A setting's zero value is the safe one.
package config
