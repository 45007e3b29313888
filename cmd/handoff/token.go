package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/auth"
)

// newTokenCommand has what an integrator needs to get a token.
func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make keys and assertions, get access tokens",
		Long: `Token helps an integrator through SMART Backend Services: make a key pair and
give its public part to whoever registers the client, make a client assertion,
ask a token endpoint.`,
		Example: `  handoff token keygen --out client.jwk > client.jwks
  handoff token get --base http://127.0.0.1:8080/fhir --client rms --key client.jwk --scope system/Patient.rs`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q; see '%s --help'", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenKeygenCommand(), newTokenAssertionCommand(), newTokenGetCommand(), newTokenSecretCommand())
	return cmd
}

// noArguments refuses arguments as a fault of the command line.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// needFlags refuses a command line that leaves one of these flags empty.
func needFlags(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if cmd.Flag(name).Value.String() == "" {
			return usageError("--%s is missing; see '%s --help'", name, cmd.CommandPath())
		}
	}
	return nil
}

func newTokenKeygenCommand() *cobra.Command {
	var out, public, alg string
	cmd := &cobra.Command{
		Use:   "keygen --out FILE",
		Short: "Make a key pair",
		Long: `Keygen writes a new private key (JSON Web Key) to a file that only you can read,
and its public key set (JWKS) to standard output or a file. The public set is
what the operator of a gateway needs to register the client. A file that exists
is never overwritten.`,
		Example: `  handoff token keygen --out client.jwk > client.jwks
  handoff token keygen --out client.jwk --public client.jwks --alg RS384`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "out"); err != nil {
				return err
			}
			if alg != auth.ES384 && alg != auth.RS384 {
				return usageError("--alg is ES384 or RS384, not %q", alg)
			}
			return keygen(cmd, out, public, alg)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file for the private key (required)")
	cmd.Flags().StringVar(&public, "public", "", "file for the public key set (default standard output)")
	cmd.Flags().StringVar(&alg, "alg", auth.ES384, "ES384 or RS384")
	return cmd
}

func keygen(cmd *cobra.Command, out, public, alg string) error {
	if public != "" {
		if _, err := os.Lstat(public); err == nil {
			return fmt.Errorf("%s exists; it is not overwritten", public)
		}
	}
	key, err := auth.GenerateKey(alg)
	if err != nil {
		return err
	}
	if err := key.Write(out); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists; it is not overwritten", out)
		}
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "private key %s (%s) in %s\n", key.KeyID(), alg, out)
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		return err
	}
	jwks = append(jwks, '\n')
	if public == "" {
		_, err = cmd.OutOrStdout().Write(jwks)
		return err
	}
	f, err := os.OpenFile(public, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("public key set: %w", err)
	}
	_, err = f.Write(jwks)
	return errors.Join(err, f.Close())
}

// signing are the flags of the commands that sign.
type signing struct {
	client, key string
	life        time.Duration
}

func (s *signing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.client, "client", "", "client id (required)")
	cmd.Flags().StringVar(&s.key, "key", "", "file with the private key, as keygen makes it (required)")
	cmd.Flags().DurationVar(&s.life, "life", 4*time.Minute, "life of the assertion, at most 5m")
}

func (s *signing) signer() (*auth.Signer, error) {
	if s.life < time.Second || s.life > 5*time.Minute {
		return nil, usageError("--life is between 1s and 5m, not %v", s.life)
	}
	key, err := auth.ReadPrivateKey(s.key)
	if err != nil {
		return nil, err
	}
	return auth.NewSigner(s.client, key, s.life, time.Now)
}

// asserting are the flags that say for whom and for what the client asks.
type asserting struct{ a auth.Asserted }

func (x *asserting) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&x.a.UserID, "user-id", "", "the person the client asks for: Practitioner/..., or a URI such as urn:oid:2.16.840.1.113883.4.6#NPI")
	f.StringVar(&x.a.UserName, "user-name", "", "that person's name")
	f.StringVar(&x.a.Role, "role", "", "that person's role, one of the client's: a code, or system#code")
	f.StringArrayVar(&x.a.Purposes, "purpose", nil, "purpose of use, one of the client's: a code, or system#code; may be repeated")
	f.StringSliceVar(&x.a.Methods, "amr", nil, "how that person signed in (RFC 8176): pwd,otp or mfa ...")
	f.StringVar(&x.a.Organization, "organization", "", "the client's organisation: Organization/..., its URL, or system#value of an identifier")
}

// asserted is nil if none of the flags was given.
func (x *asserting) asserted(cmd *cobra.Command) (*auth.Asserted, error) {
	given := false
	for _, name := range []string{"user-id", "user-name", "role", "purpose", "amr", "organization"} {
		given = given || cmd.Flags().Changed(name)
	}
	switch {
	case !given:
		return nil, nil
	case x.a.Organization == "" || len(x.a.Purposes) == 0:
		return nil, usageError("who asserts a user or a purpose must give --organization and --purpose too (UDAP hl7-b2b)")
	case (x.a.UserID == "") != (x.a.UserName == ""):
		return nil, usageError("--user-id and --user-name go together")
	case x.a.UserID == "" && (x.a.Role != "" || len(x.a.Methods) > 0):
		return nil, usageError("--role and --amr are a person's: give --user-id and --user-name")
	}
	return &x.a, nil
}

func newTokenAssertionCommand() *cobra.Command {
	var (
		s   signing
		who asserting
		aud string
	)
	cmd := &cobra.Command{
		Use:   "assertion --client ID --key FILE --aud URL",
		Short: "Make a client assertion",
		Long: `Assertion prints a signed JWT that proves the client to a token endpoint
(private_key_jwt). It works once, until its life ends.`,
		Example: `  curl -d grant_type=client_credentials -d scope=system/Patient.rs \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d client_assertion=$(handoff token assertion --client rms --key client.jwk --aud http://127.0.0.1:8080/oauth/token) \
    http://127.0.0.1:8080/oauth/token`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "client", "key", "aud"); err != nil {
				return err
			}
			signer, err := s.signer()
			if err != nil {
				return err
			}
			asserted, err := who.asserted(cmd)
			if err != nil {
				return err
			}
			assertion, err := signer.AssertionFor(aud, asserted)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), assertion)
			return err
		},
	}
	s.flags(cmd)
	who.flags(cmd)
	cmd.Flags().StringVar(&aud, "aud", "", "URL of the token endpoint (required)")
	return cmd
}

func newTokenGetCommand() *cobra.Command {
	var (
		s      signing
		who    asserting
		r      tokenRequest
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "get --base URL --client ID --key FILE --scope SCOPES",
		Short: "Get an access token",
		Long: `Get finds the token endpoint in the SMART configuration of a FHIR server, proves
the client there and prints the access token. Plain http is used to this machine
only.

A client that is registered with users: asserted names the person for whom it
asks; one with several purposes asks for one of them at a time. Both narrow what
the token may be used for, and are of no use where they are not registered.`,
		Example: `  TOKEN=$(handoff token get --base http://127.0.0.1:8080/fhir --client rms --key client.jwk --scope system/Patient.rs)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/fhir/Patient?identifier=...
  handoff token get --base http://127.0.0.1:8080/fhir --client ehr --key client.jwk --scope system/*.rs --organization Organization/clinic --purpose ETREAT --user-id Practitioner/ortiz --user-name "Ana Ortiz, MD" --amr pwd,otp`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "client", "key", "scope"); err != nil {
				return err
			}
			if r.endpoint == "" {
				if err := needFlags(cmd, "base"); err != nil {
					return err
				}
			}
			var err error
			if r.signer, err = s.signer(); err != nil {
				return err
			}
			if r.asserted, err = who.asserted(cmd); err != nil {
				return err
			}
			answer, err := r.do(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(answer.whole)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), answer.token)
			return err
		},
	}
	s.flags(cmd)
	who.flags(cmd)
	cmd.Flags().StringVar(&r.base, "base", "", "FHIR base URL (required without --token-url)")
	cmd.Flags().StringVar(&r.endpoint, "token-url", "", "token endpoint, if it is not to be looked up")
	cmd.Flags().StringVar(&r.scope, "scope", "", "scopes, with spaces between (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole answer")
	return cmd
}
