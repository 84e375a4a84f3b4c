package defender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"

	"pgp.internal/defender/internal/fault"
)

// failure is an upstream call that did not succeed: what may be told, and how the caller goes on.
type failure struct {
	fault   *fault.Error
	outcome Outcome
	status  int  // of the HTTP answer; 0 when there was none
	page    int  // of a walk, from 1; 0 outside of walks
	retry   bool // the same call may succeed soon
	all     bool // of the list of export files: it is about none of them, but about the way to all
	origin  error
}

func (f *failure) Error() string { return f.fault.Error() }
func (f *failure) Unwrap() error { return f.fault }

// toldFault strips the package's own wrapping: callers of the package meet faults, context errors and their own errors.
func toldFault(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return f.fault
	}
	return err
}

var (
	errSilence  = errors.New("the body fell silent")
	errSlowBody = errors.New("the body took too long")
	errTooLarge = errors.New("the body is larger than allowed")
)

// networkFailure classifies an exchange that brought no complete answer. The URL that net/http puts into its errors is
// dropped: a next link's token does not belong into a log.
func networkFailure(err error) *failure {
	var addressed *url.Error
	if errors.As(err, &addressed) {
		err = addressed.Err
	}
	f := &failure{outcome: OutcomeNetworkError, retry: true, origin: err}
	switch {
	case errors.Is(err, context.Canceled):
		f.outcome = OutcomeCancelled
		f.fault = fault.Wrap(err, fault.CodeUpstreamUnavailable, "The request was given up.")
	case isTimeout(err):
		f.outcome = OutcomeTimeout
		f.fault = fault.Wrap(err, fault.CodeUpstreamTimeout, "Microsoft did not answer in time.")
	case isCertificate(err):
		f.retry = false
		f.fault = fault.Wrap(err, fault.CodeUpstreamUnavailable, "No trustworthy TLS connection to Microsoft could be made.")
		f.fault.Cause = "The certificate presented for Microsoft's host is not valid here, or the two sides share no TLS version."
		f.fault.Remedy = "The operator checks the outbound network for a proxy that intercepts TLS, the trusted certificates and the clock."
		f.fault.Acts = fault.Operator
	case errors.Is(err, errForbiddenAddress):
		f.retry = false
		f.fault = fault.Wrap(err, fault.CodeUpstreamUnavailable, "Microsoft's host name resolves to an address this service refuses to connect to.")
		f.fault.Remedy = "The operator checks the name resolution of this service and the configured hosts."
		f.fault.Acts = fault.Operator
	case isNameError(err):
		f.fault = fault.Wrap(err, fault.CodeUpstreamUnavailable, "Microsoft's host name could not be resolved.")
	default:
		f.fault = fault.Wrap(err, fault.CodeUpstreamUnavailable, "The connection to Microsoft failed or broke off.")
	}
	return f
}

// malformed is an answer that is not what the API promises. Repeating may help when the body was damaged on its way.
func malformed(err error, detail string, retry bool) *failure {
	return &failure{fault: fault.Wrap(err, fault.CodeUpstreamUnexpected, detail), outcome: OutcomeMalformed, retry: retry, origin: err}
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, errSilence) || errors.Is(err, errSlowBody) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &timed) && timed.Timeout() && !isNameError(err))
}

func isNameError(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name)
}

func isCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert)
}
