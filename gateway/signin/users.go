package signin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/page"
)

// A User signs in with a password and a code that are kept here. There are such
// users in the demo alone: no setting of a configuration makes one.
type User struct {
	Name     string // to sign in with
	Password string
	Code     string // the second factor
	ID       string // at the organisation
	Display  string // the person's name
	Roles    []label.Code
}

// Users are those of one provider. They live as long as the process and keep no
// password: its hash alone, which is enough for one that is random.
type Users struct{ known map[string]secretUser }

type secretUser struct {
	User
	proof [sha256.Size]byte // of password and code together
}

// leastSecret is how long a random password is at least, in characters.
const leastSecret = 16

// NewUsers wants long random passwords: they are hashed fast.
func NewUsers(list ...User) (*Users, error) {
	u := &Users{known: map[string]secretUser{}}
	for _, x := range list {
		name := folded(x.Name)
		_, twice := u.known[name]
		if name == "" || twice || len(x.Password) < leastSecret || len(x.Code) < 6 || x.ID == "" || x.Display == "" || len(x.Roles) == 0 {
			return nil, errors.New("demo users: one says too little, stands twice, or has a short password")
		}
		s := secretUser{User: x, proof: proof(x.Password, x.Code)}
		s.Password, s.Code = "", ""
		u.known[name] = s
	}
	return u, nil
}

func proof(password, code string) [sha256.Size]byte {
	return sha256.Sum256([]byte(password + "\x00" + code))
}

// folded is a user's name as it is compared.
func folded(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// check compares for an unknown name as for a known one, and takes as long.
func (u *Users) check(name, password, code string) (User, bool) {
	x, known := u.known[folded(name)]
	given := proof(password, strings.ReplaceAll(code, " ", ""))
	same := hmac.Equal(given[:], x.proof[:])
	return x.User, known && same
}

const (
	reasonPassword = "password" // or the code, or no such user
	reasonLocked   = "locked"
)

// password takes the form of a demo user. A wrong name, password or code and a
// locked user get one answer, after the same steps.
func (s *Server) password(w http.ResponseWriter, r *http.Request, h string, a *asked, p *Provider) {
	name := r.PostFormValue("name")
	if len(name) > 255 || !utf8.ValidString(name) {
		name = ""
	}
	j, err := s.judge(r, p, name)
	switch {
	case err != nil:
		s.fail(w, r, err)
		return
	case j.blocked:
		s.slow(w, r, p, nil)
		return
	case j.who != nil:
		s.admit(w, r, a, p, j.who)
		return
	}
	why := reasonPassword
	if j.locked {
		why = reasonLocked
	}
	err = s.record(r.Context(), r, happened{interaction: audit.Login, provider: p, claimed: s.claimed(p, name), reason: why, status: http.StatusUnprocessableEntity})
	if err == nil && j.locks {
		err = s.record(r.Context(), r, happened{interaction: audit.Lock, provider: p, claimed: s.claimed(p, name)})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.form(w, r, http.StatusUnprocessableEntity, h, a, []page.Fault{{
		Field: p.ID + "-password",
		Text:  "The name, the password or the code is not right, or the user is locked. After several failures only an administrator can let the user in.",
	}})
}

// A judgement is what became of a name, a password and a code.
type judgement struct {
	who     *Person // nil where they prove nothing, or do not count
	blocked bool    // too many from this address were wrong
	locked  bool    // the user was locked before
	locks   bool    // with this failure the user is locked
}

// judge compares first, and tells nobody before the store has put the sign-in in its
// place among all others of the address and of the user: the wrong ones before it
// count, however many come at once, and the right ones take nothing from each other.
// One that is cut off counts against nobody.
func (s *Server) judge(r *http.Request, p *Provider, name string) (j judgement, err error) {
	ctx := r.Context()
	locked, err := s.locked(ctx, p, name)
	if err != nil {
		return j, err
	}
	// An end that is noted once the password is judged ends what comes of it.
	generation, _, err := auth.PersonGeneration(ctx, s.o.Facts, s.subject(p, folded(name)))
	if err != nil {
		return j, fmt.Errorf("sign-in: %w", err)
	}
	user, right := p.Users.check(name, r.PostFormValue("password"), r.PostFormValue("code"))
	right = right && !locked // a locked user's right password takes the steps of a wrong one
	if j.blocked, err = s.addressPassed(r, right); err != nil || j.blocked {
		return j, err
	}
	if !right {
		j.locked, j.locks, err = s.wrong(ctx, p, name)
		return j, err
	}
	if j.locked, err = s.right(ctx, p, name); err != nil || j.locked {
		return j, err
	}
	j.who = s.demoPerson(p, user)
	j.who.Generation = generation
	return j, nil
}

// claimed is the name for the trail: of an unknown user a hash, because people
// type passwords in the wrong field.
func (s *Server) claimed(p *Provider, name string) string {
	if _, known := p.Users.known[folded(name)]; known {
		return folded(name)
	}
	return "unknown-" + hex.EncodeToString(s.keyed("user", p.ID, folded(name)))[:16]
}

func (s *Server) demoPerson(p *Provider, u User) *Person {
	who := &Person{
		Provider: p.ID, Organization: p.Organization, Subject: s.subject(p, folded(u.Name)), ID: u.ID, Name: u.Display, Roles: u.Roles,
		FHIRUser: p.practitioner(u.ID), Methods: []string{"pwd", "otp"}, MFA: true, SignedIn: s.o.Now(),
	}
	if p.Claims.System != "" {
		who.ID = p.Claims.System + "#" + u.ID
	}
	return who
}
