package identity

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Lookup finds Patients of the own store by an identifier and returns their
// references, "Patient/…".
type Lookup func(ctx context.Context, system, value string) ([]string, error)

// A LineError says which line of a roster was not taken and why.
type LineError struct {
	Line   int
	Field  string // the column's name; "" for the line as a whole
	Reason string
}

func (e LineError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Field, e.Reason)
}

// A RosterResult counts what became of a roster: Lines = Added + Unchanged +
// len(Rejected).
type RosterResult struct {
	Lines     int // records, without header and blank lines
	Added     int // links that are new or were only candidates
	Unchanged int // links that stood already
	Rejected  []LineError
}

// SIDBase is where the project's identifier systems start: "<SIDBase>/<ORI>/mni".
const SIDBase = "https://handoff-health.github.io/fhir/sid"

// Columns of a roster. A line names a system, a Patient there, and a Patient
// here in one of four ways.
const (
	colSystem   = "system"            // key of the connected system
	colRemote   = "remote_id"         // the Patient's id there
	colPatient  = "patient"           // Patient/… here
	colIdent    = "identifier"        // system|value
	colIdentSys = "identifier_system" // with
	colIdentVal = "identifier_value"
	colORI      = "ori" // with
	colMNI      = "mni"
)

var rosterColumns = map[string]string{
	"system": colSystem, "remote_id": colRemote, "remoteid": colRemote, "remote_patient": colRemote, "remote_patient_id": colRemote,
	"patient": colPatient, "local_patient": colPatient, "identifier": colIdent, "local_identifier": colIdent,
	"identifier_system": colIdentSys, "identifier_value": colIdentVal, "ori": colORI, "mni": colMNI,
}

var ori = regexp.MustCompile(`^[A-Z0-9]{7,9}$`)

// ReadRoster brings in a roster: a CSV file in UTF-8 whose header names columns
// `system`, `remote_id`, and one of `patient`, `identifier` (system|value),
// `identifier_system` with `identifier_value`, `ori` with `mni`. Other columns
// are passed over. Its links are confirmed; reading it again changes nothing.
//
// A bad line is reported and the rest goes on. The error is about the file as a
// whole, or the store; what was counted before it stands.
func (l *Links) ReadRoster(ctx context.Context, r io.Reader, lookup Lookup) (RosterResult, error) {
	var res RosterResult
	br := bufio.NewReader(r)
	if b, err := br.Peek(3); err == nil && string(b) == "\ufeff" {
		_, _ = br.Discard(3)
	}
	c := csv.NewReader(br)
	c.FieldsPerRecord = -1
	c.TrimLeadingSpace = true
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return res, errors.New("roster: line 1: the file is empty")
	}
	if err != nil {
		return res, fmt.Errorf("roster: %w", err)
	}
	columns, err := rosterHeader(header)
	if err != nil {
		return res, err
	}
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return res, nil
		}
		if pe := (*csv.ParseError)(nil); errors.As(err, &pe) {
			res.Lines++
			res.Rejected = append(res.Rejected, LineError{Line: pe.StartLine, Reason: pe.Err.Error()})
			continue
		}
		if err != nil {
			return res, fmt.Errorf("roster: after %d lines: %w", res.Lines, err)
		}
		line, _ := c.FieldPos(0)
		if strings.TrimSpace(strings.Join(rec, "")) == "" {
			continue
		}
		res.Lines++
		changed, bad, err := l.rosterLine(ctx, line, rec, len(header), columns, lookup)
		switch {
		case err != nil:
			return res, fmt.Errorf("roster: line %d: %w", line, err)
		case bad != nil:
			res.Rejected = append(res.Rejected, *bad)
		case changed:
			res.Added++
		default:
			res.Unchanged++
		}
	}
}

// rosterHeader finds the columns and says what is missing.
func rosterHeader(header []string) (map[string]int, error) {
	columns := map[string]int{}
	for i, h := range header {
		name, ok := rosterColumns[strings.ReplaceAll(strings.ToLower(strings.TrimSpace(h)), " ", "_")]
		if !ok {
			continue
		}
		if _, twice := columns[name]; twice {
			return nil, fmt.Errorf("roster: line 1: the column %s is there twice", name)
		}
		columns[name] = i
	}
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := columns[n]; !ok {
				return false
			}
		}
		return true
	}
	switch {
	case !has(colSystem):
		return nil, errors.New("roster: line 1: no column system")
	case !has(colRemote):
		return nil, errors.New("roster: line 1: no column remote_id")
	case !has(colPatient) && !has(colIdent) && !has(colIdentSys, colIdentVal) && !has(colORI, colMNI):
		return nil, errors.New("roster: line 1: no column patient or identifier, nor identifier_system with identifier_value, nor ori with mni")
	}
	return columns, nil
}

// rosterLine takes one line. bad is a fault of the line, err one of the store.
func (l *Links) rosterLine(ctx context.Context, line int, rec []string, width int, columns map[string]int, lookup Lookup) (changed bool, bad *LineError, err error) {
	refuse := func(field, format string, args ...any) (bool, *LineError, error) {
		return false, &LineError{line, field, fmt.Sprintf(format, args...)}, nil
	}
	if len(rec) != width {
		return refuse("", "%d fields where the header has %d", len(rec), width)
	}
	get := func(name string) string {
		if i, ok := columns[name]; ok {
			return strings.TrimSpace(rec[i])
		}
		return ""
	}
	for _, f := range rec {
		if !utf8.ValidString(f) {
			return refuse("", "it is not UTF-8")
		}
	}
	system, remote := get(colSystem), get(colRemote)
	if _, ok := l.ids.Slug(system); !ok {
		return refuse(colSystem, "%q is not a connected system", system)
	}
	remote = strings.TrimPrefix(remote, "Patient/")
	if !resource.ValidID(remote) {
		return refuse(colRemote, "%q is not a FHIR id", remote)
	}
	patient, field, reason, err := rosterPatient(ctx, get, lookup)
	if err != nil {
		return false, nil, err
	}
	if reason != "" {
		return refuse(field, "%s", reason)
	}
	link := Link{Patient: patient, System: system, RemoteID: remote, State: Confirmed, Method: "roster"}
	if _, err := l.check(link); err != nil {
		return refuse(field, "%s", strings.TrimPrefix(err.Error(), "identity: "))
	}
	changed, err = l.Propose(ctx, link)
	if errors.Is(err, ErrUndone) {
		return refuse("", "%s; confirm it by hand if it is right after all", ErrUndone)
	}
	return changed, nil, err
}

// rosterPatient finds the Patient here that a line names.
func rosterPatient(ctx context.Context, get func(string) string, lookup Lookup) (ref, field, reason string, err error) {
	var system, value string
	switch {
	case get(colPatient) != "":
		id := strings.TrimPrefix(get(colPatient), "Patient/")
		if !resource.ValidID(id) {
			return "", colPatient, fmt.Sprintf("%q is not a reference to a Patient", get(colPatient)), nil
		}
		return "Patient/" + id, colPatient, "", nil
	case get(colIdent) != "":
		var ok bool
		if system, value, ok = strings.Cut(get(colIdent), "|"); !ok || system == "" || value == "" {
			return "", colIdent, "it is not of the form system|value", nil
		}
		field = colIdent
	case get(colIdentVal) != "" || get(colIdentSys) != "":
		system, value, field = get(colIdentSys), get(colIdentVal), colIdentVal
		if system == "" || value == "" {
			return "", field, "identifier_system and identifier_value belong together", nil
		}
	case get(colMNI) != "" || get(colORI) != "":
		agency := strings.ToUpper(get(colORI))
		if !ori.MatchString(agency) {
			return "", colORI, fmt.Sprintf("%q is not an ORI", get(colORI)), nil
		}
		system, value, field = SIDBase+"/"+agency+"/mni", get(colMNI), colMNI
		if value == "" {
			return "", field, "ori and mni belong together", nil
		}
	default:
		return "", "", "it names no Patient here", nil
	}
	refs, err := lookup(ctx, system, value)
	if err != nil {
		return "", "", "", err
	}
	switch len(refs) {
	case 0:
		return "", field, "no Patient here has this identifier", nil
	case 1:
		return refs[0], field, "", nil
	}
	return "", field, fmt.Sprintf("%d Patients here have this identifier", len(refs)), nil
}
