package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// options are the settings of the program; a flag wins over its environment variable.
type options struct {
	listen, control   string
	seed              uint64
	machines          int
	findings          int
	catalogue         int
	directory, client string
	secret            string
	tls, quotas       bool
	certificateFile   string
	cloud             defendersim.Cloud
	switches          defendersim.Switches
	pageCache         int // MiB
}

const usage = `defendersim simulates Microsoft Entra ID and Microsoft Defender for Endpoint for tests and demonstrations.

One address serves the token endpoint and the Defender API, as if both Microsoft hosts were one; the control address
serves the truth about the simulated data, faults, changes and a journal of requests. GET / there lists everything.

The secret of the main application is read from $DEFENDERSIM_SECRET or the file named by $DEFENDERSIM_SECRET_FILE;
otherwise one is made up, which GET / of the control address shows. Besides the main application the directory has
others that fail to connect in one way each, and there is an unlicensed and an empty directory.

Every flag can be set as $DEFENDERSIM_<NAME> too. Flags:
`

func parseOptions(args []string, env func(string) string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("defendersim", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	o.define(fs)
	var bad error
	fs.VisitAll(func(f *flag.Flag) {
		name := "DEFENDERSIM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env(name); v != "" && bad == nil {
			if err := fs.Set(f.Name, v); err != nil {
				bad = fmt.Errorf("$%s is %s: %w", name, strconv.Quote(v), err)
			}
		}
	})
	if bad != nil {
		return o, bad
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.catalogue < 1 || o.catalogue > 500000 {
		return o, errors.New("--catalogue must be 1 to 500000")
	}
	if o.certificateFile != "" && !o.tls {
		return o, errors.New("--certificate-file needs --tls")
	}
	if o.pageCache < 0 || o.pageCache > 1<<20 {
		return o, errors.New("--page-cache must be 0 to 1048576")
	}
	var err error
	o.secret, err = secret(env)
	return o, err
}

func (o *options) define(fs *flag.FlagSet) {
	fs.StringVar(&o.listen, "listen", "127.0.0.1:9400", "address of Entra ID and the API; port 0 chooses a free one")
	fs.StringVar(&o.control, "control", "127.0.0.1:9401", "address of the control interface; shows secrets, keep it local")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of everything simulated")
	fs.IntVar(&o.machines, "machines", 500, "plain machines of the main directory; edge cases come on top")
	fs.IntVar(&o.findings, "findings", 40, "mean vulnerability rows per machine")
	fs.IntVar(&o.catalogue, "catalogue", 5000, "vulnerabilities in the catalogue")
	fs.StringVar(&o.directory, "directory", "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01", "tenant id (GUID) of the main directory")
	fs.StringVar(&o.client, "client-id", "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01", "client id (GUID) of the main application")
	fs.BoolVar(&o.tls, "tls", false, "serve the listen address over TLS with a self-signed certificate")
	fs.BoolVar(&o.quotas, "quotas", true, "enforce Microsoft's call limits")
	fs.IntVar(&o.pageCache, "page-cache", 0, "MiB of memory for pages and files of vulnerability rows, compressed, so that reading them again costs no work")
	fs.StringVar(&o.certificateFile, "certificate-file", "", "with --tls: write the certificate there as PEM, for clients to trust")
	fs.StringVar((*string)(&o.cloud), "cloud", "commercial", "cloud of all directories: commercial, gcc, gcc_high or dod")
	fs.Func("switches", `variants to turn on, as JSON; PATCH /switches of the control address does it later (e.g. {"legacy_forbidden":true})`, o.setSwitches)
	fs.Func("snapshots", "when changes reach mapping data, exports and files: `live` is at once (default), 6h at 0, 6, 12 and 18 o'clock UTC", o.setSnapshots)
}

func (o *options) setSwitches(text string) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(&o.switches)
}

func (o *options) setSnapshots(value string) error {
	if value != "live" && value != "6h" {
		return errors.New("it is live or 6h")
	}
	o.switches.SixHourSnapshots = value == "6h"
	return nil
}

func secret(env func(string) string) (string, error) {
	if s := env("DEFENDERSIM_SECRET"); s != "" {
		return s, nil
	}
	if name := env("DEFENDERSIM_SECRET_FILE"); name != "" {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read $DEFENDERSIM_SECRET_FILE: %w", err)
		}
		if s := strings.TrimRight(string(b), "\r\n"); s != "" {
			return s, nil
		}
		return "", errors.New("the file named by $DEFENDERSIM_SECRET_FILE is empty")
	}
	return newSecret(), nil
}

// newSecret has the look of Microsoft's: 40 characters with a tilde after the fifth.
func newSecret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	s := base64.RawURLEncoding.EncodeToString(b[:])
	return s[:5] + "~" + s[6:]
}
