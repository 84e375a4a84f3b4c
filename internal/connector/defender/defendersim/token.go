package defendersim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// claims are those of the v1.0-format token that Entra ID issues for resources with a URL as audience.
type claims struct {
	Audience   string   `json:"aud"`
	Issuer     string   `json:"iss"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf"`
	Expires    int64    `json:"exp"`
	AppID      string   `json:"appid"`
	AppIDACR   string   `json:"appidacr"`
	IDProvider string   `json:"idp"`
	IDType     string   `json:"idtyp"`
	ObjectID   string   `json:"oid"`
	Roles      []string `json:"roles,omitempty"`
	Subject    string   `json:"sub"`
	TenantID   string   `json:"tid"`
	UTI        string   `json:"uti"`
	Version    string   `json:"ver"`
}

const (
	tokenLife = 3599 * time.Second
	// clockSkew is what tokens are back-dated by, so that exp-iat exceeds expires_in.
	clockSkew = 5 * time.Minute
)

func (s *Simulator) newClaims(q *entraRequest, a App) claims {
	now, d := s.now(), q.settings
	object := guidOf("service-principal", d.ID, a.ClientID)
	issuer := "https://sts.windows.net/" + d.ID + "/"
	c := claims{
		Audience: q.resource, Issuer: issuer, IDProvider: issuer, IDType: "app",
		IssuedAt: now.Add(-clockSkew).Unix(), NotBefore: now.Add(-clockSkew).Unix(), Expires: now.Add(tokenLife + time.Second).Unix(),
		AppID: strings.ToLower(a.ClientID), AppIDACR: q.acr, ObjectID: object, Subject: object, TenantID: d.ID,
		UTI: base64.RawURLEncoding.EncodeToString([]byte(NewGUID()))[:22], Version: "1.0",
	}
	if _, defender := d.Cloud.has(q.resource); defender || (q.resource == audienceXDR && s.switches().XDRAudienceAccepted) {
		c.Roles = a.Roles
	}
	return c
}

// sign makes a JWT. Microsoft signs with RSA; nobody but the simulator checks the signature, and HMAC costs no key.
func (s *Simulator) sign(c claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256","kid":"defendersim"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.mac(text)), nil
}

func (s *Simulator) mac(text string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

var errToken = errors.New("token is not valid")

// verify checks signature and life-time, not the audience.
func (s *Simulator) verify(token string) (claims, error) {
	var c claims
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return c, errToken
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(token[at+1:])
	if err != nil || !hmac.Equal(sum, s.mac(token[:at])) {
		return c, errToken
	}
	_, payload, _ := strings.Cut(token[:at], ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return c, errToken
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, errToken
	}
	if now := s.now().Unix(); now >= c.Expires || now < c.NotBefore {
		return c, errToken
	}
	return c, nil
}
