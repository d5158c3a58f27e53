package idemhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// call sends a POST with a key to a handler, and prints the response.
func call(h http.Handler, key, body string) {
	r := httptest.NewRequest(http.MethodPost, "/charges", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	replayed := ""
	if w.Header().Get("Idempotent-Replayed") != "" {
		replayed = " (replayed)"
	}
	if p, err := idemhttp.ParseProblem(w.Body.Bytes()); err == nil {
		fmt.Printf("%d %s\n", w.Code, p.Kind)
		return
	}
	fmt.Printf("%d %s%s\n", w.Code, w.Body, replayed)
}

func ExampleHandler() {
	idempotent, err := idemhttp.Handler(memstore.New(memstore.Config{}), idemhttp.Config{
		Name: "api",
		Principal: func(r *http.Request) (string, error) { // as your authentication has found
			return "customer-7", nil
		},
	})
	if err != nil {
		panic(err)
	}
	charges := 0
	h := idempotent(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charges++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "charge %d", charges)
	}))

	call(h, `"order-17"`, "42")
	call(h, `"order-17"`, "42")
	call(h, `"order-17"`, "43")
	call(h, "", "42")
	// Output:
	// 201 charge 1
	// 201 charge 1 (replayed)
	// 422 KeyReused
	// 400 KeyMissing
}

// A handler whose transaction was rolled back says so: the next request with the key is executed. Without it, a 500 would leave an outcome
// that nobody knows.
func ExampleSetEffect() {
	idempotent, err := idemhttp.Handler(memstore.New(memstore.Config{}), idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("shop")})
	if err != nil {
		panic(err)
	}
	insert := func(context.Context) error { return errors.New("serialization failure, rolled back") }
	h := idempotent(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := insert(r.Context()); err != nil {
			idemhttp.SetEffect(r.Context(), idemhttp.EffectNone)
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "done")
	}))

	call(h, `"order-17"`, "42")
	insert = func(context.Context) error { return nil }
	call(h, `"order-17"`, "42")
	call(h, `"order-17"`, "42")
	// Output:
	// 503 try again
	//
	// 200 done
	// 200 done (replayed)
}

// The key that a client gave for its request names the calls that the handler makes for it.
func ExampleKey() {
	idempotent, err := idemhttp.Handler(memstore.New(memstore.Config{}), idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("shop")})
	if err != nil {
		panic(err)
	}
	h := idempotent(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, key, _ := idemhttp.Key(r.Context())
		fmt.Fprint(w, idempotency.KeyFrom("charge", principal, key))
	}))
	call(h, `"order-17"`, "42")
	// Output: 200 0deceb57-e28c-55a9-9d96-b46b179cc7ca
}

// An operator lists what is unknown, and settles it.
func ExampleConfig_Call() {
	store := memstore.New(memstore.Config{})
	config := idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("shop")}
	idempotent, err := idemhttp.Handler(store, config)
	if err != nil {
		panic(err)
	}
	h := idempotent(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", http.StatusInternalServerError) }))
	call(h, `"order-17"`, "42")
	call(h, `"order-17"`, "42")

	desk, err := idempotency.Wrap(store, config.Call())
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	open, err := desk.List(ctx, idempotency.Query{States: idempotency.Unresolved()})
	fmt.Println(open[0].Scope, open[0].Key, open[0].State, err)
	_, err = desk.For("shop").Settle(ctx, "order-17", idempotency.Happened(idemhttp.Response{Status: 201, Body: []byte("charge 1")}))
	fmt.Println(err)
	call(h, `"order-17"`, "42")
	// Output:
	// 500 oops
	//
	// 409 OutcomeUnknown
	// shop order-17 unknown <nil>
	// <nil>
	// 201 charge 1 (replayed)
}

// The page that problems link to, and that says how long keys live.
func ExampleSpecification() {
	page, err := idemhttp.Specification(idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("shop"), Docs: "https://api.example.com/idempotency"})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/idempotency", http.NoBody)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// {
	//   "header": "Idempotency-Key",
	//   "methods": [
	//     "POST",
	//     "PATCH"
	//   ],
	//   "required": true,
	//   "quoted": true,
	//   "max_key_bytes": 255,
	//   "max_body_bytes": 1048576,
	//   "response_kept_seconds": 86400,
	//   "key_remembered_seconds": null,
	//   "same_request": "method, path, query, Content-Type, Content-Encoding and content; of a multipart body its parts, whatever separates them"
	// }
}

func ExampleParseProblem() {
	p, err := idemhttp.ParseProblem([]byte(`{"type":"https://api.example.com/idempotency#InProgress","title":"Under way","status":409}`))
	fmt.Println(p.Kind == idemhttp.InProgress, p.Status, err)
	// Output: true 409 <nil>
}
