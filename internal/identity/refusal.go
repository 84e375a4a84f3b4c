package identity

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
)

// Refusal is why a token does not count, in a word for the log. Whoever sent it is told only that it does not: what exactly
// is wrong would help those who forge one. No text of the token is in it.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return "the token is refused: " + string(r) }

// Why tokens are refused.
const (
	NotAccepted    Refusal = "tokens_not_accepted" // no issuer is configured
	TooLong        Refusal = "too_long"
	Malformed      Refusal = "malformed"
	BadAlgorithm   Refusal = "algorithm"
	BadType        Refusal = "type"
	BadKeyID       Refusal = "key_id"
	UnknownKey     Refusal = "unknown_key"
	CriticalHeader Refusal = "critical_header"
	BadSignature   Refusal = "signature"
	MissingClaim   Refusal = "claim_missing"
	BadTime        Refusal = "time" // exp, nbf or iat is no time
	Expired        Refusal = "expired"
	TooLongLived   Refusal = "lifetime" // exp lies too far ahead
	NotYetValid    Refusal = "not_yet_valid"
	BadIssuer      Refusal = "issuer"
	BadAudience    Refusal = "audience"
	BadSubject     Refusal = "subject"
	BadRole        Refusal = "role"
	BadTenants     Refusal = "tenants"
)

func refused(err error) error { return fault.Wrap(reasonOf(err), fault.CodeUnauthenticated, "") }

// reasonOf translates what the library says. The order counts: of several things that are wrong the log has the first.
func reasonOf(err error) Refusal {
	var known Refusal
	if errors.As(err, &known) {
		return known
	}
	for _, t := range []struct {
		err error
		is  Refusal
	}{
		{jwt.ErrTokenMalformed, Malformed}, {jwt.ErrTokenSignatureInvalid, BadSignature}, {jwt.ErrTokenRequiredClaimMissing, MissingClaim},
		{jwt.ErrTokenInvalidIssuer, BadIssuer}, {jwt.ErrTokenInvalidAudience, BadAudience}, {jwt.ErrTokenExpired, Expired},
		{jwt.ErrTokenNotValidYet, NotYetValid}, {jwt.ErrTokenUsedBeforeIssued, NotYetValid},
	} {
		if errors.Is(err, t.err) {
			return t.is
		}
	}
	return Malformed
}
