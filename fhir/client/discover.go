package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// discover returns the token endpoint, looked up once.
func (t *BackendTokens) discover(ctx context.Context) (string, error) {
	t.mu.Lock()
	endpoint := t.endpoint
	t.mu.Unlock()
	if endpoint != "" {
		return endpoint, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.base.join(".well-known", "smart-configuration").String(), nil)
	if err != nil {
		return "", errors.New("smart-configuration: no request could be made")
	}
	req.Header.Set("Accept", "application/json")
	var answer struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	status, err := t.do(req, &answer)
	switch {
	case err != nil && status == 0:
		return "", fmt.Errorf("smart-configuration: %w", err)
	case status != http.StatusOK:
		return "", fmt.Errorf("smart-configuration: HTTP %d", status)
	case err != nil:
		return "", fmt.Errorf("smart-configuration: %w", err)
	}
	if err := t.checkEndpoint(answer.TokenEndpoint); err != nil {
		return "", fmt.Errorf("smart-configuration: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endpoint = answer.TokenEndpoint
	return t.endpoint, nil
}

// do sends one request, once, and decodes the JSON answer into v. A status
// other than 0 says that an answer came, even when it could not be decoded.
func (t *BackendTokens) do(req *http.Request, v any) (status int, err error) {
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := t.http.Do(req) //nolint:bodyclose // drop reads a little and closes
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return 0, err
	}
	defer drop(resp.Body)
	if err := unpack(resp, maxTokenBytes); err != nil {
		return resp.StatusCode, err
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return resp.StatusCode, errors.New("the answer is not the JSON it should be")
	}
	return resp.StatusCode, nil
}
