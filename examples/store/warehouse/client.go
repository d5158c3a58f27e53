package warehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Client asks a warehouse over HTTP. It never retries: steadfast does.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client for the warehouse at a base URL.
func NewClient(baseURL string) *Client {
	return &Client{url: baseURL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ship asks for a parcel, and returns its tracking number. The warehouse sends one for each key.
func (c *Client) Ship(ctx context.Context, key, number string) (tracking string, err error) {
	body, err := json.Marshal(order{number})
	if err != nil {
		return "", idempotency.NotSent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/parcels", bytes.NewReader(body))
	if err != nil {
		return "", idempotency.NotSent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(keyHeader, key)
	req.GetBody = nil // or net/http would send it again by itself
	res, err := c.http.Do(req)
	if err != nil {
		return "", err // sent or not, who knows
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("warehouse: it answered %s", res.Status)
	}
	var p parcel
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		return "", err
	}
	if p.Number == "" {
		return "", fmt.Errorf("warehouse: its answer to %s names no parcel", number)
	}
	return p.Number, nil
}
