package defender

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/connector"
)

// maxFederatedToken bounds what is read of the platform's token file.
const maxFederatedToken = 64 << 10

var errNoFederatedToken = errors.New("the file holds no JWT with issuer, subject and audience")

// platformToken is the OIDC token by which the platform that this service runs on vouches for it.
type platformToken struct {
	text  string
	trust connector.Trust
}

// readPlatformToken reads the token afresh: platforms renew it in place, after an hour or sooner. What it claims decides
// nothing here; Microsoft checks the signature.
func readPlatformToken(name string) (platformToken, error) {
	file, err := os.Open(name)
	if err != nil {
		return platformToken{}, err
	}
	defer file.Close() //nolint:errcheck // read-only
	body, err := io.ReadAll(io.LimitReader(file, maxFederatedToken))
	if err != nil {
		return platformToken{}, err
	}
	text := strings.TrimSpace(string(body))
	var said jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &said); err != nil || said.Issuer == "" || said.Subject == "" || len(said.Audience) == 0 {
		return platformToken{}, errNoFederatedToken
	}
	return platformToken{text, connector.Trust{Issuer: said.Issuer, Subject: said.Subject, Audience: said.Audience[0]}}, nil
}

// federation is what a customer's directory has to trust, or nil while federated sign-in is not available.
func (c *Connector) federation() *connector.Trust {
	if c.cfg.FederatedTokenFile == "" {
		return nil
	}
	t, err := readPlatformToken(c.cfg.FederatedTokenFile)
	if err != nil {
		c.cfg.Logger.Warn("federated sign-in is not offered: the platform's token cannot be read", "error", err)
		return nil
	}
	return &t.trust
}
