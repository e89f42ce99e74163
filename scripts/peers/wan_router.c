/* wan_router: a userspace wide-area-network emulator (delay, jitter, loss,
 * blackholes, partitions, uplink rate) between network namespaces.
 *
 * It opens one TUN device inside each namespace and forwards IPv4 packets
 * between them from one epoll loop.  A packet whose destination is not one of
 * the emulated nodes is counted as "stray" and dropped, so nothing can leave.
 *
 * Node i has the address 10.77.(i mod 250).(1 + i / 250) and SPARE more, the
 * e-th of them 10.(77 + e).(i mod 250).(1 + i / 250): each in a /24 that none
 * of the first 250 nodes shares.
 *
 * Started by wan.py.
 *   wan_router CTL_SOCKET SPARE NETNS_PATH...         (settings come over CTL)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <math.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAXN 2048
#define MTU 1500
#define LATE_BUCKETS 32

static int n;
static int tunfd[MAXN];
static uint8_t dead[MAXN];
static int group[MAXN];
static double access_u[MAXN]; /* in [-1,1], for --hetero */
static uint64_t txp[MAXN], txb[MAXN], rxp[MAXN], rxb[MAXN];
static uint64_t up_free[MAXN];
static uint64_t forwarded, lost, blackholed, stray, writefail, overflow;
static uint64_t late_hist[LATE_BUCKETS], late_max;
static double rtt_ms = 0, jitter_ms = 0, loss = 0, hetero = 0, mbps = 0;
static int spare = 0;
static uint64_t rng = 0x9E3779B97F4A7C15ull;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
static double rnd(void) { /* xorshift64*, in [0,1) */
    rng ^= rng >> 12; rng ^= rng << 25; rng ^= rng >> 27;
    return (double)((rng * 2685821657736338717ull) >> 11) / 9007199254740992.0;
}
static void reseed(uint64_t s) {
    rng = s * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull;
    if (!rng) rng = 1;
    for (int i = 0; i < 16; i++) rnd();
    for (int i = 0; i < n; i++) access_u[i] = 2 * rnd() - 1;
}
static uint32_t addr_of(int i, int e) { /* host order; e: 0, or a spare one from 1 */
    return (10u << 24) | ((77u + (uint32_t)e) << 16) | ((uint32_t)(i % 250) << 8) | (1 + i / 250);
}
static int node_of(uint32_t a) {
    if ((a >> 24) != 10) return -1;
    uint32_t b = (a >> 16) & 255, c = (a >> 8) & 255, d = a & 255;
    if (b < 77 || b > 77u + (uint32_t)spare || c >= 250 || d < 1) return -1;
    int i = (int)(c + 250 * (d - 1));
    return i < n ? i : -1;
}

/* ---- packets in flight: a binary heap by (due, seq) ---- */
typedef struct pkt { uint64_t due, seq; int dst; int len; struct pkt *next; uint8_t data[MTU + 36]; } pkt;
static pkt **heap; static size_t hn, hcap; static pkt *freelist; static uint64_t seqno;
static int less(pkt *a, pkt *b) { return a->due != b->due ? a->due < b->due : a->seq < b->seq; }
static void hpush(pkt *p) {
    if (hn == hcap) { hcap = hcap ? hcap * 2 : 4096; heap = realloc(heap, hcap * sizeof *heap); if (!heap) abort(); }
    size_t i = hn++;
    while (i && less(p, heap[(i - 1) / 2])) { heap[i] = heap[(i - 1) / 2]; i = (i - 1) / 2; }
    heap[i] = p;
}
static pkt *hpop(void) {
    pkt *top = heap[0], *x = heap[--hn]; size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= hn) break;
        if (c + 1 < hn && less(heap[c + 1], heap[c])) c++;
        if (!less(heap[c], x)) break;
        heap[i] = heap[c]; i = c;
    }
    if (hn) heap[i] = x;
    return top;
}

static void on_packet(int src) {
    for (int burst = 0; burst < 64; burst++) {
        pkt *p = freelist;
        if (p) freelist = p->next; else { p = malloc(sizeof *p); if (!p) abort(); }
        ssize_t k = read(tunfd[src], p->data, sizeof p->data);
        if (k <= 0) { p->next = freelist; freelist = p; return; }
        p->len = (int)k;
        int drop = 1;
        if (k >= 20 && (p->data[0] >> 4) == 4) {
            uint32_t a; memcpy(&a, p->data + 16, 4); int dst = node_of(ntohl(a));
            txp[src]++; txb[src] += k;
            if (dst < 0) stray++;
            else if (dead[src] || dead[dst] || group[src] != group[dst]) blackholed++;
            else if (loss > 0 && rnd() < loss) lost++;
            else if (hn > 2000000) overflow++;
            else {
                uint64_t t = now_ns();
                if (mbps > 0) {
                    uint64_t ser = (uint64_t)(k * 8000.0 / mbps);
                    if (up_free[src] < t) up_free[src] = t;
                    up_free[src] += ser; t = up_free[src];
                }
                double d = rtt_ms / 4 * (2 + hetero * (access_u[src] + access_u[dst])) + (jitter_ms > 0 ? jitter_ms * rnd() : 0);
                p->due = t + (uint64_t)(d * 1e6); p->seq = seqno++; p->dst = dst;
                hpush(p); drop = 0;
            }
        } else stray++; /* IPv6 neighbour chatter and the like */
        if (drop) { p->next = freelist; freelist = p; }
    }
}
static void deliver(void) {
    uint64_t t = now_ns();
    for (int c = 0; hn && heap[0]->due <= t; c++) {
        pkt *p = hpop();
        if (dead[p->dst]) blackholed++;
        else if (write(tunfd[p->dst], p->data, p->len) != p->len) writefail++;
        else {
            forwarded++; rxp[p->dst]++; rxb[p->dst] += p->len;
            uint64_t late = (t - p->due) / 1000; /* us */
            if (late > late_max) late_max = late;
            int b = 0; while (late >> b && b < LATE_BUCKETS - 1) b++;
            late_hist[b]++;
        }
        p->next = freelist; freelist = p;
        if ((c & 15) == 15) t = now_ns();
        if (c > 512) return; /* let reads have a turn */
    }
}

static int open_tun(const char *ns, int i, int home) {
    int fd = open(ns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) { perror(ns); exit(1); }
    close(fd);
    int t = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t < 0) { perror("/dev/net/tun"); exit(1); }
    struct ifreq r; memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "wan0"); r.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(t, TUNSETIFF, &r)) { perror("TUNSETIFF"); exit(1); }
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in *sa = (struct sockaddr_in *)&r.ifr_addr;
#define SET(req, what) if (ioctl(s, req, &r)) { perror(what); exit(1); }
    memset(&r, 0, sizeof r); strcpy(r.ifr_name, "lo"); r.ifr_flags = IFF_UP | IFF_RUNNING; SET(SIOCSIFFLAGS, "lo up");
    memset(&r, 0, sizeof r); strcpy(r.ifr_name, "wan0");
    for (int e = 0; e <= spare; e++) { /* a spare address is that of an alias */
        memset(&r, 0, sizeof r);
        if (e) snprintf(r.ifr_name, sizeof r.ifr_name, "wan0:%d", e); else strcpy(r.ifr_name, "wan0");
        sa->sin_family = AF_INET; sa->sin_addr.s_addr = htonl(addr_of(i, e)); SET(SIOCSIFADDR, "addr");
        sa->sin_addr.s_addr = htonl(0xFF000000u); SET(SIOCSIFNETMASK, "mask");
    }
    memset(&r, 0, sizeof r); strcpy(r.ifr_name, "wan0"); r.ifr_mtu = MTU; SET(SIOCSIFMTU, "mtu");
    memset(&r, 0, sizeof r); strcpy(r.ifr_name, "wan0"); r.ifr_qlen = 10000; SET(SIOCSIFTXQLEN, "qlen");
    memset(&r, 0, sizeof r); strcpy(r.ifr_name, "wan0"); r.ifr_flags = IFF_UP | IFF_RUNNING; SET(SIOCSIFFLAGS, "up");
    /* a default route, because some programs only use an interface that has
       one; what is sent along it and is not for a node is dropped (stray) */
    struct rtentry rt; memset(&rt, 0, sizeof rt);
    ((struct sockaddr_in *)&rt.rt_dst)->sin_family = AF_INET;
    ((struct sockaddr_in *)&rt.rt_genmask)->sin_family = AF_INET;
    rt.rt_flags = RTF_UP; rt.rt_dev = (char *)"wan0";
    if (ioctl(s, SIOCADDRT, &rt)) perror("default route (ignored)");
    close(s);
    if (setns(home, CLONE_NEWNET)) { perror("setns home"); exit(1); }
    return t;
}

static void zero_stats(void) {
    forwarded = lost = blackholed = stray = writefail = overflow = late_max = 0;
    memset(late_hist, 0, sizeof late_hist);
    memset(txp, 0, sizeof txp); memset(txb, 0, sizeof txb); memset(rxp, 0, sizeof rxp); memset(rxb, 0, sizeof rxb);
}
static void command(int c) {
    static char in[1 << 16], out[1 << 18];
    ssize_t k = recv(c, in, sizeof in - 1, 0);
    if (k <= 0) return;
    in[k] = 0;
    char *o = out; size_t left = sizeof out;
#define P(...) do { int q = snprintf(o, left, __VA_ARGS__); o += q; left -= q; } while (0)
    char *sp, *w = strtok_r(in, " \n", &sp);
    if (!w) return;
    if (!strcmp(w, "set")) {
        char *kk, *v;
        while ((kk = strtok_r(0, " \n", &sp)) && (v = strtok_r(0, " \n", &sp))) {
            double x = atof(v);
            if (!strcmp(kk, "rtt_ms")) rtt_ms = x; else if (!strcmp(kk, "jitter_ms")) jitter_ms = x;
            else if (!strcmp(kk, "loss")) loss = x; else if (!strcmp(kk, "hetero")) hetero = x;
            else if (!strcmp(kk, "mbps")) mbps = x; else if (!strcmp(kk, "seed")) reseed((uint64_t)strtoull(v, 0, 10));
        }
        P("{\"ok\":true}");
    } else if (!strcmp(w, "kill") || !strcmp(w, "revive") || !strcmp(w, "group")) {
        int val = w[0] == 'k', isg = w[0] == 'g'; char *v; int g = 0;
        if (isg && (v = strtok_r(0, " \n", &sp))) g = atoi(v);
        while ((v = strtok_r(0, " \n", &sp))) {
            int i = atoi(v);
            if (i >= 0 && i < n) { if (isg) group[i] = g; else dead[i] = val; }
        }
        P("{\"ok\":true}");
    } else if (!strcmp(w, "reset")) { zero_stats(); P("{\"ok\":true}"); }
    else if (!strcmp(w, "stats")) {
        P("{\"t\":%.6f,\"nodes\":%d,\"rtt_ms\":%g,\"jitter_ms\":%g,\"loss\":%g,\"hetero\":%g,\"mbps\":%g,", now_ns() / 1e9, n, rtt_ms, jitter_ms, loss, hetero, mbps);
        P("\"forwarded\":%lu,\"lost\":%lu,\"blackholed\":%lu,\"stray\":%lu,\"writefail\":%lu,\"overflow\":%lu,\"in_flight\":%zu,", forwarded, lost, blackholed, stray, writefail, overflow, hn);
        uint64_t tot = 0, acc = 0; double q50 = 0, q99 = 0, q999 = 0;
        for (int b = 0; b < LATE_BUCKETS; b++) tot += late_hist[b];
        for (int b = 0; b < LATE_BUCKETS; b++) {
            uint64_t before = acc; acc += late_hist[b]; double ub = (double)(1ull << b);
            if (before < tot * .5 && acc >= tot * .5) q50 = ub;
            if (before < tot * .99 && acc >= tot * .99) q99 = ub;
            if (before < tot * .999 && acc >= tot * .999) q999 = ub;
        }
        P("\"late_us\":{\"p50_below\":%g,\"p99_below\":%g,\"p999_below\":%g,\"max\":%lu},\"dead\":[", q50, q99, q999, late_max);
        int f = 1; for (int i = 0; i < n; i++) if (dead[i]) { P("%s%d", f ? "" : ",", i); f = 0; }
        P("],\"per_node\":[");
        for (int i = 0; i < n; i++) P("%s[%lu,%lu,%lu,%lu]", i ? "," : "", txp[i], txb[i], rxp[i], rxb[i]);
        P("]}");
    } else if (!strcmp(w, "quit")) { send(c, "{\"ok\":true}", 11, 0); exit(0); }
    else P("{\"error\":\"unknown command\"}");
    send(c, out, o - out, MSG_NOSIGNAL);
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "usage: wan_router CTL SPARE NETNS...\n"); return 2; }
    spare = atoi(argv[2]);
    if (spare < 0 || spare > 100) { fprintf(stderr, "at most 100 spare addresses\n"); return 2; }
    n = argc - 3;
    if (n > MAXN) { fprintf(stderr, "at most %d nodes\n", MAXN); return 2; }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever started us is gone */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < n; i++) {
        tunfd[i] = open_tun(argv[3 + i], i, home);
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(ep, EPOLL_CTL_ADD, tunfd[i], &e);
    }
    reseed(1);
    int ls = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un su = {.sun_family = AF_UNIX};
    snprintf(su.sun_path, sizeof su.sun_path, "%s", argv[1]);
    unlink(su.sun_path);
    if (bind(ls, (struct sockaddr *)&su, sizeof su) || listen(ls, 64)) { perror("ctl"); return 1; }
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 0xFFFFFFFFu};
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    struct sched_param pr = {.sched_priority = 5};
    if (sched_setscheduler(0, SCHED_FIFO, &pr)) { if (nice(-15)) {} }
    struct epoll_event ev[256];
    for (;;) {
        struct timespec to, *tp = 0;
        if (hn) {
            uint64_t t = now_ns(), d = heap[0]->due > t ? heap[0]->due - t : 0;
            to.tv_sec = d / 1000000000ull; to.tv_nsec = d % 1000000000ull; tp = &to;
        }
        int k = epoll_pwait2(ep, ev, 256, tp, 0);
        deliver();
        for (int j = 0; j < k; j++) {
            uint32_t id = ev[j].data.u32;
            if (id == 0xFFFFFFFFu) {
                int c = accept4(ls, 0, 0, SOCK_CLOEXEC);
                if (c >= 0) {
                    struct timeval tv = {.tv_usec = 200000}; setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
                    int sz = 1 << 19; setsockopt(c, SOL_SOCKET, SO_SNDBUF, &sz, sizeof sz);
                    command(c); close(c);
                }
            } else { on_packet((int)id); deliver(); }
        }
    }
}
