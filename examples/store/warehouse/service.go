package warehouse

import (
	"encoding/json"
	"maps"
	"net/http"
)

// What is said over HTTP.
const keyHeader = "Idempotency-Key"

type order struct {
	Order string `json:"order"`
}

type parcel struct {
	Number string `json:"number"`
}

const maxBody = 4 << 10

// Handler serves the warehouse to its customers: POST /parcels, with an Idempotency-Key. GET /_parcels says how many left
// for each order.
func (w *Warehouse) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /parcels", w.take)
	mux.HandleFunc("GET /_parcels", w.count)
	return http.MaxBytesHandler(mux, maxBody)
}

func (w *Warehouse) take(rw http.ResponseWriter, r *http.Request) {
	var in order
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Order == "" || r.Header.Get(keyHeader) == "" {
		http.Error(rw, "an Idempotency-Key and an order are needed", http.StatusBadRequest)
		return
	}
	number, err := w.Ship(r.Context(), r.Header.Get(keyHeader), in.Order)
	if err != nil {
		return // whoever asked has gone
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(rw).Encode(parcel{number}) // the client may have gone
}

func (w *Warehouse) count(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	counts := maps.Clone(w.parcels)
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(counts) // the client may have gone
}
