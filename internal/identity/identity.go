// Package identity turns a token that PGP issued into what it says of its bearer.
package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// Token is what a verified token says.
type Token struct {
	Subject string      // sub, which is opaque and may be an e-mail address
	Name    string      // for people; may be empty
	Tenants []string    // accounts or public ids that the bearer may act for
	Role    tenant.Role // in each of them, or tenant.Platform, which is in none
}

// Config says which tokens are believed. All fields are needed but MaxLife.
type Config struct {
	Issuer      string
	Audience    string
	Algorithms  []string      // see Algorithms
	Skew        time.Duration // by which clocks may differ; at most MaxSkew
	MaxLife     time.Duration // for how long from now a token may still be good; 0: for any time
	TenantClaim string        // a text or a list of texts
	RoleClaim   string        // a text
	Keys        Keys
	Now         func() time.Time
}

// MaxSkew bounds Config.Skew.
const MaxSkew = time.Minute

// MaxLength bounds a token in bytes: a larger one is refused unread.
const MaxLength = 8 << 10

// Algorithms lists the signatures that may be chosen. Those with a shared key are left out: whoever verifies could then issue.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// types are what the header may say a token is: an access token (RFC 9068, section 4) or just a JWT, which issuers say that do
// not follow that profile. It may also say nothing (RFC 7519, section 5.1), and what it says else, the empty text included, is another kind of
// token. An ID token is told apart by its audience, which is the client and not this service.
var types = []string{"jwt", "at+jwt", "application/at+jwt"}

// Verifier checks tokens. It may be used by several goroutines at once.
type Verifier struct {
	cfg    Config
	parser *jwt.Parser
}

// New makes a verifier. It panics where the configuration is incomplete, which is a defect of the program.
func New(cfg Config) *Verifier {
	unknown := func(a string) bool { return !slices.Contains(Algorithms(), a) }
	if cfg.Issuer == "" || cfg.Audience == "" || len(cfg.Algorithms) == 0 || slices.ContainsFunc(cfg.Algorithms, unknown) ||
		cfg.Skew < 0 || cfg.Skew > MaxSkew || cfg.MaxLife < 0 || cfg.TenantClaim == "" || cfg.RoleClaim == "" || cfg.Keys == nil || cfg.Now == nil {
		panic("identity: the configuration is incomplete or out of bounds")
	}
	return &Verifier{cfg: cfg, parser: jwt.NewParser(
		jwt.WithValidMethods(cfg.Algorithms), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(cfg.Skew), jwt.WithTimeFunc(cfg.Now), jwt.WithStrictDecoding(),
	)}
}

// Verify checks a token. Whatever is wrong with it is the same fault, [fault.CodeUnauthenticated], with a [Refusal] as its
// cause for the log; [fault.CodeTokensUnavailable] says that nobody can tell, because the issuer's keys were never to be had.
// What an expired token says that was good before comes back beside the fault, for the audit trail; of others nothing does.
func (v *Verifier) Verify(ctx context.Context, text string) (Token, error) {
	if err := readStrictly(text, v.cfg.Algorithms); err != nil {
		return Token{}, refused(err)
	}
	var c claims
	_, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return v.cfg.Keys.Key(ctx, kid, t.Method.Alg())
	})
	var unavailable *unavailableError
	switch {
	case errors.As(err, &unavailable):
		return Token{}, fault.Wrap(unavailable, fault.CodeTokensUnavailable, "")
	case err != nil && !onlyExpired(err):
		return Token{}, refused(err)
	}
	token, unread := v.token(&c)
	switch {
	case unread != nil:
		return Token{}, refused(unread)
	case err != nil:
		return token, refused(err)
	case v.cfg.MaxLife > 0 && c.ExpiresAt.After(v.cfg.Now().Add(v.cfg.MaxLife+v.cfg.Skew)):
		return Token{}, refused(TooLongLived)
	}
	return token, nil
}

// onlyExpired tells whether a token would have been good before; the library checks the signature first and then all claims,
// and joins what is wrong with them.
func onlyExpired(err error) bool {
	others := []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer,
		jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenInvalidSubject, jwt.ErrTokenInvalidId,
	}
	return errors.Is(err, jwt.ErrTokenExpired) && !slices.ContainsFunc(others, func(other error) bool { return errors.Is(err, other) })
}

// token reads what the configured claims say.
func (v *Verifier) token(c *claims) (Token, error) {
	t := Token{Subject: c.Subject, Name: c.text("name")}
	if t.Subject == "" || len(t.Subject) > 255 || !plainText(t.Subject) {
		return t, BadSubject
	}
	if len(t.Name) > 255 || !plainText(t.Name) {
		t.Name = "" // it is only for people
	}
	t.Role = tenant.Role(c.text(v.cfg.RoleClaim))
	if !t.Role.Valid() {
		return t, BadRole
	}
	accounts, ok := c.texts(v.cfg.TenantClaim)
	for _, account := range accounts {
		same := func(named string) bool { return tenant.SameName(named, account) }
		if account = strings.TrimSpace(account); account != "" && !slices.ContainsFunc(t.Tenants, same) {
			t.Tenants = append(t.Tenants, account)
		}
		ok = ok && plainText(account)
	}
	if !ok {
		return t, BadTenants
	}
	if t.Role == tenant.Platform && len(t.Tenants) > 0 {
		return t, BadTenants // it acts for none
	}
	return t, nil
}

// NoIssuer refuses every token: none is configured.
type NoIssuer struct{}

// Verify refuses.
func (NoIssuer) Verify(context.Context, string) (Token, error) {
	return Token{}, refused(NotAccepted)
}
