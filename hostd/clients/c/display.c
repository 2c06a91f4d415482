/* A display of an evokd bus in one file: ./display [--report] [--key FILE.secret] [tcp://HOST:PORT]
 * Says a line for every average and every alert, and STALE when the bus is silent. One thread. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { VERSION = 1, STALE_MS = 2000, AGAIN_MS = 200, REPORT_MS = 250, MOST_PARTS = 16, MOST_TOPICS = 512, NAME = 64 };
static const char *const TOPICS[] = {"beat", "status", "alert", "alarms", "measure.", "average."};
enum { N_TOPICS = sizeof TOPICS / sizeof *TOPICS };
#define STR(o) (int)(o)->via.str.size, (o)->via.str.ptr

typedef struct { const unsigned char *bytes; size_t size; } Part;
typedef struct { char topic[NAME]; int64_t seq; double digest; } Shown;
static struct {
    char boot[NAME], old[64][NAME];
    unsigned n_old, n_shown;
    Shown shown[MOST_TOPICS];
    int64_t holes, heard_ms, asked_ms, reported_ms;
    bool ask, stale, shaken[2];
} now = {.asked_ms = -AGAIN_MS};

static int64_t clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is(const msgpack_object *o, const char *text) {
    size_t n = strlen(text);
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == n && !memcmp(o->via.str.ptr, text, n);
}

/* The value of a key; NULL where there is none, or no map. */
static const msgpack_object *get(const msgpack_object *map, const char *key) {
    if (!map || map->type != MSGPACK_OBJECT_MAP) return NULL;
    for (uint32_t k = 0; k < map->via.map.size; k++)
        if (is(&map->via.map.ptr[k].key, key)) return &map->via.map.ptr[k].val;
    return NULL;
}

static const msgpack_object *text(const msgpack_object *map, const char *key) {
    static const msgpack_object none = {.type = MSGPACK_OBJECT_STR, .via.str = {0, ""}};
    const msgpack_object *o = get(map, key);
    return o && o->type == MSGPACK_OBJECT_STR ? o : &none;
}

static bool whole(const msgpack_object *o, int64_t *n) {
    if (!o || (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER && o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER)) return false;
    *n = o->via.i64;
    return o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER || o->via.u64 <= INT64_MAX;
}

static double real(const msgpack_object *o) {
    int64_t n;
    if (o && (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64)) return o->via.f64;
    return whole(o, &n) ? (double)n : NAN;
}

/* Whether bytes hold as many elements as they claim, before anything is allocated for them. */
static bool sane(const unsigned char *p, size_t size) {
    static const unsigned char fixed[32] = {0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17};
    size_t at = 0, wanted = 1;
    while (wanted--) {
        if (at >= size) return false;
        unsigned char c = p[at++];
        uint64_t skip = 0, inner = 0, n = 0;
        unsigned width = c == 0xc4 || c == 0xc7 || c == 0xd9 ? 1 : c == 0xc5 || c == 0xc8 || c == 0xda || c == 0xdc || c == 0xde ? 2
                       : c == 0xc6 || c == 0xc9 || c == 0xdb || c == 0xdd || c == 0xdf ? 4 : 0;
        if (width > size - at) return false;
        for (unsigned k = 0; k < width; k++) n = n << 8 | p[at++];
        if (c >= 0x80 && c <= 0x8f) inner = 2 * (c & 15);
        else if (c >= 0x90 && c <= 0x9f) inner = c & 15;
        else if (c >= 0xa0 && c <= 0xbf) skip = c & 31;
        else if (c >= 0xdc && c <= 0xdf) inner = c >= 0xde ? 2 * n : n;
        else if (width) skip = n + (c >= 0xc7 && c <= 0xc9);
        else if (c >= 0xc0 && c <= 0xdf) skip = fixed[c - 0xc0];
        if (skip > size - at || inner > size - at - skip) return false;
        at += skip;
        wanted += inner;
    }
    return at == size;
}

/* Number k of a buffer of a type; its size in bytes where `to` is NULL, 0 for a type that is not known. */
static size_t number(const msgpack_object *type, const unsigned char *p, double *to) {
    union { float f4; double f8; int16_t i2; int32_t i4; int64_t i8; } v; /* little-endian, as this machine */
#define AS(name, field) if (is(type, name)) { if (to) { memcpy(&v.field, p, sizeof v.field); *to = (double)v.field; } return sizeof v.field; }
    AS("<f4", f4) AS("<f8", f8) AS("<i2", i2) AS("<i4", i4) AS("<i8", i8)
    if (is(type, "|u1") && to) *to = *p;
    return is(type, "|u1");
}

/* Whether bytes are UTF-8 (well enough formed to be shown). */
static bool utf8(const unsigned char *p, size_t n) {
    for (size_t k = 0; k < n;) {
        size_t more = p[k] < 0x80 ? 0 : p[k] < 0xc2 ? 9 : p[k] < 0xe0 ? 1 : p[k] < 0xf0 ? 2 : p[k] < 0xf5 ? 3 : 9;
        if (more >= n - k++) return false;
        for (; more--; k++)
            if (p[k] >> 6 != 2) return false;
    }
    return true;
}

typedef struct { const msgpack_object *type; const unsigned char *p; size_t n, columns, each; } Array;

/* The array that `o` describes; false when it is none. Number k is of row k / columns, column k % columns. */
static bool array(const msgpack_object *o, const Part *parts, size_t n_parts, Array *a) {
    const msgpack_object *shape = get(o, "shape");
    int64_t part, side = 0;
    *a = (Array){get(o, "dtype"), NULL, 1, 1, 0};
    if (!a->type || !shape || shape->type != MSGPACK_OBJECT_ARRAY || !whole(get(o, "part"), &part)) return false;
    if (part < 0 || (uint64_t)part >= n_parts || !(a->each = number(a->type, NULL, NULL))) return false;
    for (uint32_t k = 0; k < shape->via.array.size; k++) {
        if (!whole(&shape->via.array.ptr[k], &side) || side < 0) return false;
        if (side && a->n > parts[part].size / (size_t)side) return false; /* larger than its buffer */
        a->n *= (size_t)side;
        a->columns = (size_t)side;
    }
    a->p = parts[part].bytes;
    return a->n * a->each == parts[part].size;
}

static double at(const Array *a, size_t k) {
    double x = 0;
    number(a->type, a->p + k * a->each, &x);
    return x;
}

static bool is_old(const msgpack_object *boot) {
    for (unsigned k = 0; k < 64; k++)
        if (now.old[k][0] && is(boot, now.old[k])) return true;
    return false;
}

/* Where a topic is shown when it is newer than what is; NULL when not. A hole or another boot asks again. */
static Shown *newer(const char *topic, const msgpack_object *boot, int64_t seq) {
    if (!is(boot, now.boot)) { /* the box was started anew: everything known is of another case */
        now.ask = now.ask || *now.boot;
        memcpy(now.old[now.n_old++ % 64], now.boot, NAME);
        snprintf(now.boot, NAME, "%.*s", STR(boot));
        now.n_shown = 0;
    }
    unsigned k = 0;
    while (k < now.n_shown && strcmp(now.shown[k].topic, topic)) k++;
    if (k == MOST_TOPICS) return NULL;
    Shown *s = &now.shown[k];
    if (k == now.n_shown) {
        now.n_shown++;
        snprintf(s->topic, NAME, "%s", topic);
        s->seq = seq - 1;
    }
    if (seq <= s->seq) return NULL;
    if (seq > s->seq + 1) {
        now.holes += seq - s->seq - 1;
        now.ask = true;
    }
    s->seq = seq;
    return s;
}

static void show(const char *topic, const msgpack_object *h, const Part *parts, size_t n_parts) {
    if (!strcmp(topic, "alert"))
        printf("ALERT %.*s %.*s: %.*s\n", STR(text(h, "state")), STR(text(h, "priority")), STR(text(h, "text")));
    Array a;
    if (!strncmp(topic, "average.", 8) && get(h, "mean_uv") && array(get(h, "mean_uv"), parts, n_parts, &a)) {
        double least = INFINITY, most = -INFINITY;
        for (size_t k = 0; k < a.n; k += a.columns) { /* the first derivation */
            least = fmin(least, at(&a, k));
            most = fmax(most, at(&a, k));
        }
        if (a.n) printf("%s %.0f sweeps, %.2f uV from top to bottom\n", topic + 8, real(get(h, "n_sweeps")), most - least);
    }
    const msgpack_object *peaks = get(h, "peaks");
    if (strncmp(topic, "measure.", 8) || !peaks || peaks->type != MSGPACK_OBJECT_ARRAY) return;
    printf("%s %.0f sweeps", topic + 8, real(get(h, "n_sweeps")));
    for (uint32_t k = 0; k < peaks->via.array.size; k++) {
        const msgpack_object *p = &peaks->via.array.ptr[k], *name = text(p, "name"), *there = get(p, "present");
        const msgpack_object *lead = text(h, "leading");
        if (name->via.str.size != lead->via.str.size || memcmp(name->via.str.ptr, lead->via.str.ptr, name->via.str.size)) continue;
        if (there && there->type == MSGPACK_OBJECT_BOOLEAN && there->via.boolean)
            printf(" %.*s present at %.2f ms, %.2f uV", STR(name), real(get(p, "latency_ms")), real(get(p, "amplitude_uv")));
        else printf(" %.*s absent", STR(name));
        break;
    }
    printf("\n");
}

static void take(const Part *name, const msgpack_object *h, const Part *parts, size_t n_parts, bool live) {
    char topic[NAME];
    int64_t seq, version = 0;
    const msgpack_object *boot = text(h, "boot");
    if (name->size >= NAME || !utf8(name->bytes, name->size) || !boot->via.str.size || boot->via.str.size >= NAME || !whole(get(h, "seq"), &seq)) return;
    snprintf(topic, NAME, "%.*s", (int)name->size, (const char *)name->bytes);
    if (!whole(get(h, "v"), &version) || version != VERSION) {
        printf("%s: schema version %lld, this display reads %d\n", topic, (long long)version, VERSION);
        return;
    }
    double digest = 0; /* for --report: every finite number times its column (from 1), summed */
    for (uint32_t k = 0; k < h->via.map.size; k++) {
        const msgpack_object *value = &h->via.map.ptr[k].val;
        Array a;
        if (!get(value, "dtype") || !get(value, "shape") || !get(value, "part")) continue;
        if (!array(value, parts, n_parts, &a)) return; /* a header and a buffer that disagree */
        for (size_t i = 0; i < a.n; i++)
            if (isfinite(at(&a, i))) digest += at(&a, i) * (double)(i % a.columns + 1);
    }
    if (!is_old(boot)) {
        Shown *shown = newer(topic, boot, seq);
        if (shown) {
            shown->digest = digest;
            show(topic, h, parts, n_parts);
        }
    }
    if (live && is(boot, now.boot)) {
        now.heard_ms = clock_ms();
        now.stale = false;
    }
}

static void answered(const msgpack_object *reply) {
    const msgpack_object *all = get(get(reply, "result"), "messages");
    if (!is(text(reply, "id"), "snapshot")) return;
    if (!all || all->type != MSGPACK_OBJECT_ARRAY) {
        now.ask = true; /* it was busy */
        return;
    }
    for (uint32_t k = 0; k < all->via.array.size; k++) {
        const msgpack_object *m = &all->via.array.ptr[k], *name = text(m, "topic"), *bins = get(m, "parts");
        Part parts[MOST_PARTS], topic = {(const unsigned char *)name->via.str.ptr, name->via.str.size};
        size_t n = 0;
        if (bins && bins->type == MSGPACK_OBJECT_ARRAY)
            for (; n < bins->via.array.size && n < MOST_PARTS && bins->via.array.ptr[n].type == MSGPACK_OBJECT_BIN; n++)
                parts[n] = (Part){(const unsigned char *)bins->via.array.ptr[n].via.bin.ptr, bins->via.array.ptr[n].via.bin.size};
        if (get(m, "header")) take(&topic, get(m, "header"), parts, n, false);
    }
}

/* One multipart message: of the bus [topic, header, buffer...], of control ["", reply]. */
static void receive(void *socket, bool control) {
    zmq_msg_t frames[MOST_PARTS];
    Part parts[MOST_PARTS];
    size_t n = 0;
    int more = 1;
    for (; more; n++) {
        zmq_msg_t *frame = &frames[n < MOST_PARTS ? n : MOST_PARTS - 1];
        if (n >= MOST_PARTS) zmq_msg_close(frame); /* more parts than any message has */
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, socket, 0) < 0) { zmq_msg_close(frame); break; }
        more = zmq_msg_more(frame);
    }
    if (n > MOST_PARTS) n = MOST_PARTS;
    for (size_t k = 0; k < n; k++) parts[k] = (Part){zmq_msg_data(&frames[k]), zmq_msg_size(&frames[k])};
    msgpack_unpacked decoded;
    msgpack_unpacked_init(&decoded);
    if (n >= 2 && sane(parts[1].bytes, parts[1].size)
        && msgpack_unpack_next(&decoded, (const char *)parts[1].bytes, parts[1].size, NULL) == MSGPACK_UNPACK_SUCCESS
        && decoded.data.type == MSGPACK_OBJECT_MAP) {
        if (control) answered(&decoded.data);
        else take(&parts[0], &decoded.data, parts + 2, n - 2, true);
    }
    msgpack_unpacked_destroy(&decoded);
    for (size_t k = 0; k < n; k++) zmq_msg_close(&frames[k]);
}

static void pack_text(msgpack_packer *to, const char *word) {
    msgpack_pack_str(to, strlen(word));
    msgpack_pack_str_body(to, word, strlen(word));
}

static void pack_report(msgpack_packer *to) {
    msgpack_pack_map(to, 5);
    pack_text(to, "boot"), pack_text(to, now.boot);
    pack_text(to, "stale"), now.stale ? msgpack_pack_true(to) : msgpack_pack_false(to);
    pack_text(to, "holes"), msgpack_pack_int64(to, now.holes);
    pack_text(to, "topics"), msgpack_pack_array(to, N_TOPICS);
    for (unsigned k = 0; k < N_TOPICS; k++) pack_text(to, TOPICS[k]);
    pack_text(to, "latest"), msgpack_pack_map(to, now.n_shown);
    for (unsigned k = 0; k < now.n_shown; k++) {
        pack_text(to, now.shown[k].topic), msgpack_pack_array(to, 2);
        msgpack_pack_int64(to, now.shown[k].seq), msgpack_pack_double(to, now.shown[k].digest);
    }
}

/* Ask {"id", "command", "args"}; false when nobody is there. */
static bool request(void *control, const char *command, void (*args)(msgpack_packer *)) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 3);
    pack_text(&packer, "id"), pack_text(&packer, command);
    pack_text(&packer, "command"), pack_text(&packer, command);
    pack_text(&packer, "args");
    if (args) args(&packer);
    else msgpack_pack_map(&packer, 0);
    bool sent = zmq_send(control, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 && zmq_send(control, buffer.data, buffer.size, ZMQ_DONTWAIT) >= 0;
    msgpack_sbuffer_destroy(&buffer);
    return sent;
}

/* A line NAME = "40 characters" of a file of evokd keys. */
static bool key_of(const char *path, const char *name, char key[41]) {
    char line[256], form[32];
    FILE *file = fopen(path, "r");
    bool found = false;
    snprintf(form, sizeof form, "%s = %%*1[\"']%%40[^\n]", name);
    while (file && !found && fgets(line, sizeof line, file)) found = sscanf(line, form, key) == 1 && strlen(key) == 40;
    if (file) fclose(file);
    return found;
}

static void *joined(void *context, int kind, const char *bus, int offset, const char *key) {
    static const struct { const char *name; int option; } KEYS[] = {
        {"public", ZMQ_CURVE_PUBLICKEY}, {"secret", ZMQ_CURVE_SECRETKEY}, {"server", ZMQ_CURVE_SERVERKEY}};
    const char *colon = strrchr(bus, ':');
    int zero = 0, one = 1, room = 10000;
    char address[256], value[41];
    void *socket = zmq_socket(context, kind);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    if (kind == ZMQ_DEALER) zmq_setsockopt(socket, ZMQ_IMMEDIATE, &one, sizeof one);
    else zmq_setsockopt(socket, ZMQ_RCVHWM, &room, sizeof room); /* never ZMQ_CONFLATE: it aborts on multipart */
    for (int k = 0; key && k < 3; k++)
        if (!key_of(key, KEYS[k].name, value) || zmq_setsockopt(socket, KEYS[k].option, value, 41)) {
            fprintf(stderr, "%s: no key %s; make one with evokd keys new\n", key, KEYS[k].name);
            exit(2);
        }
    for (unsigned k = 0; kind == ZMQ_SUB && k < N_TOPICS; k++) zmq_setsockopt(socket, ZMQ_SUBSCRIBE, TOPICS[k], strlen(TOPICS[k]));
    snprintf(address, sizeof address, "%.*s:%d", colon ? (int)(colon - bus) : 0, bus, colon ? atoi(colon + 1) + offset : 0);
    char watch[32];
    snprintf(watch, sizeof watch, "inproc://handshake-%d", offset);
    if (kind == ZMQ_SUB) zmq_socket_monitor(socket, watch, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    if (zmq_connect(socket, address)) {
        fprintf(stderr, "%s: %s; write tcp://HOST:PORT\n", bus, zmq_strerror(zmq_errno()));
        exit(2);
    }
    return socket;
}

int main(int argc, char **argv) {
    const char *bus = "tcp://127.0.0.1:5750", *key = NULL;
    bool report = false;
    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "--report")) report = true;
        else if (!strcmp(argv[k], "--key") && k + 1 < argc) key = argv[++k];
        else bus = argv[k];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    void *context = zmq_ctx_new();
    zmq_pollitem_t poll[5] = {0};
    poll[0].socket = joined(context, ZMQ_DEALER, bus, 1, key);
    poll[1].socket = joined(context, ZMQ_SUB, bus, 0, key);
    poll[2].socket = joined(context, ZMQ_SUB, bus, 2, key);
    for (int k = 3; k < 5; k++) {
        poll[k].socket = zmq_socket(context, ZMQ_PAIR);
        zmq_connect(poll[k].socket, k == 3 ? "inproc://handshake-0" : "inproc://handshake-2");
    }
    for (int k = 0; k < 5; k++) poll[k].events = ZMQ_POLLIN;
    now.heard_ms = clock_ms();
    while (zmq_poll(poll, 5, 50) >= 0) {
        for (int k = 0; k < 3; k++)
            if (poll[k].revents) receive(poll[k].socket, k == 0);
        for (int k = 3; k < 5; k++)
            if (poll[k].revents) { /* subscribed anew: what was said before is in the snapshot */
                receive(poll[k].socket, true);
                now.shaken[k - 3] = true;
                now.ask = now.shaken[0] && now.shaken[1];
            }
        int64_t ms = clock_ms();
        if (!now.stale && ms - now.heard_ms > STALE_MS) {
            now.stale = true;
            printf("STALE: nothing for %d s; what stands above is old\n", STALE_MS / 1000);
        }
        if (now.ask && ms - now.asked_ms > AGAIN_MS && request(poll[0].socket, "snapshot", NULL)) {
            now.ask = false;
            now.asked_ms = ms;
        }
        if (report && ms - now.reported_ms > REPORT_MS) {
            now.reported_ms = ms;
            request(poll[0].socket, "client.report", pack_report);
        }
    }
    for (int k = 0; k < 5; k++) zmq_close(poll[k].socket);
    zmq_ctx_term(context);
    return 0;
}
