package search

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A number is a value of a number or quantity parameter: the interval
// [low, high) that its written precision leaves open, and for a quantity the
// unit.
type number struct {
	op        Comparator
	value     *big.Rat // as written
	low, high *big.Rat
	raw       string // without prefix and unit
	quantity  bool
	anyUnit   bool
	anySystem bool // the unit has no system: it may be the unit's text
	system    string
	unit      string
}

// readDecimal reads a decimal exactly. The exponent is bounded so that a short
// string cannot make a huge number.
func readDecimal(s string) (value, halfStep *big.Rat, ok bool) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if scientific {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > 100 || n < -100 {
			return nil, nil, false
		}
		e = n
	}
	whole, fraction, point := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	if len(mantissa)-len(strings.TrimLeft(mantissa, "+-")) > 1 || len(mantissa) > 100 ||
		whole == "" || (point && fraction == "") || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil, nil, false
	}
	value, ok = new(big.Rat).SetString(mantissa)
	if !ok {
		return nil, nil, false
	}
	value.Mul(value, pow10(e))
	return value, new(big.Rat).Mul(big.NewRat(1, 2), pow10(e-len(fraction))), true
}

func pow10(e int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e, -e))), nil)
	if e < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), p)
	}
	return new(big.Rat).SetInt(p)
}

func readNumber(s string, quantity bool) (number, string) {
	n := number{quantity: quantity, anyUnit: true}
	op, rest, reason := readComparator(s)
	if reason != "" {
		return n, reason
	}
	n.op = op
	parts, reason := split(rest, '|')
	switch {
	case reason != "":
		return n, reason
	case len(parts) == 3 && quantity && parts[2] != "":
		n.anyUnit, n.anySystem, n.system, n.unit = false, parts[1] == "", parts[1], parts[2]
	case len(parts) != 1 && quantity:
		return n, "not a quantity: expected number, number|system|code or number||unit"
	case len(parts) != 1:
		return n, "not a number"
	}
	value, half, ok := readDecimal(parts[0])
	if !ok {
		return n, "not a number"
	}
	n.raw, n.value = parts[0], value
	if n.op == AP {
		half = new(big.Rat).Mul(new(big.Rat).Abs(value), big.NewRat(1, 10))
	}
	n.low, n.high = new(big.Rat).Sub(value, half), new(big.Rat).Add(value, half)
	return n, ""
}

// numbers reads a number, Quantity, Money or Range of a resource as a closed
// interval; nil is an open end.
func numbers(n resource.Node) (low, high *big.Rat, ok bool) {
	read := func(v resource.Node) *big.Rat {
		if v.Kind() != resource.Number {
			return nil
		}
		r, _, ok := readDecimal(string(v.Raw()))
		if !ok {
			return nil
		}
		return r
	}
	if n.Kind() == resource.Number {
		low = read(n)
		return low, low, low != nil
	}
	if l, h := n.Get("low"), n.Get("high"); l.Exists() || h.Exists() {
		low, high = read(l.Get("value")), read(h.Get("value"))
		if low != nil && high != nil && low.Cmp(high) > 0 { // the ends are swapped
			low, high = high, low
		}
		return low, high, low != nil || high != nil
	}
	low = read(n.Get("value"))
	return low, low, low != nil
}

func (v number) match(n resource.Node, _ *path, _ *Query) bool {
	low, high, ok := numbers(n)
	if !ok || (v.quantity && !v.anyUnit && !v.hasUnit(n)) {
		return false
	}
	within := low != nil && high != nil && low.Cmp(v.low) >= 0 && high.Cmp(v.high) < 0
	above := high == nil || high.Cmp(v.value) > 0
	below := low == nil || low.Cmp(v.value) < 0
	switch v.op {
	case EQ:
		return within
	case NE:
		return !within
	case GT:
		return above
	case GE:
		return above || high.Cmp(v.value) == 0 || within
	case LT:
		return below
	case LE:
		return below || low.Cmp(v.value) == 0 || within
	case SA:
		return low != nil && low.Cmp(v.value) > 0
	case EB:
		return high != nil && high.Cmp(v.value) < 0
	case AP:
		return (high == nil || high.Cmp(v.low) >= 0) && (low == nil || low.Cmp(v.high) <= 0)
	}
	return false
}

func (v number) hasUnit(n resource.Node) bool {
	for _, q := range []resource.Node{n, n.Get("low"), n.Get("high")} {
		system, code := q.Get("system"), q.Get("code")
		switch {
		case v.anySystem && (code.Is(v.unit) || q.Get("unit").Is(v.unit)):
			return true
		case !v.anySystem && system.Is(v.system) && code.Is(v.unit):
			return true
		case q.Get("currency").Is(v.unit) && (v.anySystem || v.system == "urn:iso:std:iso:4217"):
			return true
		}
	}
	return false
}

// Entries of a number are its ends as order-preserving float64; rounding is
// monotone, so that inclusive bounds find a superset.

func sortable(r *big.Rat) string {
	f, _ := r.Float64()
	if f == 0 {
		f = 0 // no negative zero
	}
	bits := math.Float64bits(f)
	if f < 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], bits)
	return hex.EncodeToString(b[:])
}

const (
	lowest  = "0000000000000000"
	highest = "ffffffffffffffff"
)

func numberEntries(n resource.Node, add, addEnd func(string)) {
	low, high, ok := numbers(n)
	if !ok {
		return
	}
	start, end := lowest, highest
	if low != nil {
		start = sortable(low)
	}
	if high != nil {
		end = sortable(high)
	}
	add(start)
	addEnd(end)
}

func (v number) plan(_ *Parameter, name string, _ *Query) store.Expr {
	low, at, high := sortable(v.low), sortable(v.value), sortable(v.high)
	end := name + endSuffix
	switch v.op {
	case EQ, AP:
		return store.Expr{Op: store.And, Args: []store.Expr{span(end, low, ""), span(name, "", high)}}
	case NE:
		return store.Expr{Op: store.Exists, Param: name}
	case GT, SA:
		return span(end, at, "")
	case GE:
		return span(end, low, "")
	case LT, EB:
		return span(name, "", at)
	case LE:
		return span(name, "", high)
	}
	return store.Expr{}
}

func (v number) text() string {
	s := v.raw
	if v.op != EQ {
		s = comparators[v.op] + s
	}
	if !v.anyUnit {
		s += "|" + escape(v.system) + "|" + escape(v.unit)
	}
	return s
}
