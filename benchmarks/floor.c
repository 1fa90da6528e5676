/*
 * The floor: the benchmark's network on raw batched rtnetlink, with nothing in between.
 *
 *   floor              reads a number of sandboxes a line, answers {"build": ms, "ping": ms, "down": ms} a line
 *   floor ping ADDRESS sends one echo request from the caller's namespace; exit 0 when it was answered
 *
 * One anonymous network namespace for the host and one a sandbox, one netlink socket each, messages in batches with
 * interface indices of our choice (so that nothing is looked up), RTM_GETLINK on both ends of each veth to have the
 * ports forward at once, one ICMP echo from the first sandbox to the last, and all references dropped.
 *
 * cc -O2 -o floor floor.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOPBACK = 1,
	BRIDGE = 10,
	PORT = 100, /* the first veth end on the host; also the index of each sandbox's end */
	MOST = 4000,
	BATCH = 64, /* messages a send: more acknowledgements might not fit the receive buffer */
	TIMEOUT = 3,
};

struct space {
	int name; /* a descriptor that keeps the namespace alive */
	int route; /* a netlink socket bound to it */
};

/* ---- messages ---- */

static char batch[1 << 18];
static int used, pending;
static struct nlmsghdr *message;

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *append(size_t size)
{
	void *place = batch + used;

	memset(place, 0, NLMSG_ALIGN(size));
	used += NLMSG_ALIGN(size);
	return place;
}

static void begin(int type, int flags)
{
	message = append(sizeof *message);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	message->nlmsg_seq = ++pending;
}

static void end(void)
{
	message->nlmsg_len = batch + used - (char *)message;
}

static struct rtattr *attribute(int type, const void *data, size_t size)
{
	struct rtattr *place = append(RTA_LENGTH(size));

	place->rta_type = type;
	place->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(place), data, size);
	return place;
}

static void text(int type, const char *value)
{
	attribute(type, value, strlen(value) + 1);
}

static void number(int type, uint32_t value)
{
	attribute(type, &value, sizeof value);
}

static void close_nest(struct rtattr *nest)
{
	nest->rta_len = batch + used - (char *)nest;
}

static void link_header(int index, int flags)
{
	struct ifinfomsg *header = append(sizeof *header);

	header->ifi_index = index;
	header->ifi_flags = flags;
	header->ifi_change = flags;
}

static int acknowledged(char *reply, int size)
{
	struct nlmsghdr *header = (struct nlmsghdr *)reply;
	int count = 0;

	for (; NLMSG_OK(header, (unsigned)size); header = NLMSG_NEXT(header, size)) {
		if (header->nlmsg_type != NLMSG_ERROR)
			continue;
		errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
		if (errno)
			die("the kernel refused a request");
		count++;
	}
	return count;
}

static void flush(int route)
{
	static char reply[1 << 16];

	if (pending && send(route, batch, used, 0) < 0)
		die("send");
	while (pending > 0) {
		int size = recv(route, reply, sizeof reply, 0);

		if (size < 0)
			die("recv");
		pending -= acknowledged(reply, size);
	}
	used = pending = 0;
}

static void flush_when_full(int route)
{
	if (pending >= BATCH)
		flush(route);
}

/* ---- what is asked of the kernel ---- */

static void link_up(int index)
{
	begin(RTM_SETLINK, 0);
	link_header(index, IFF_UP);
	end();
}

static void link_settled(int index)
{
	begin(RTM_GETLINK, 0);
	link_header(index, 0);
	end();
}

static void bridge(const char *name, int index)
{
	struct rtattr *info;

	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	link_header(index, IFF_UP);
	text(IFLA_IFNAME, name);
	info = attribute(IFLA_LINKINFO, NULL, 0);
	text(IFLA_INFO_KIND, "bridge");
	close_nest(info);
	end();
}

static void veth(const char *name, int index, const char *peer, int space)
{
	struct rtattr *info, *data, *other;

	begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	link_header(index, IFF_UP);
	text(IFLA_IFNAME, name);
	number(IFLA_MASTER, BRIDGE);
	info = attribute(IFLA_LINKINFO, NULL, 0);
	text(IFLA_INFO_KIND, "veth");
	data = attribute(IFLA_INFO_DATA, NULL, 0);
	other = attribute(VETH_INFO_PEER, NULL, 0);
	link_header(PORT, 0); /* a peer cannot be born up: the pair is not tied yet */
	text(IFLA_IFNAME, peer);
	number(IFLA_NET_NS_FD, space);
	close_nest(other);
	close_nest(data);
	close_nest(info);
	end();
}

static void address(int index, uint32_t value, int prefix)
{
	struct ifaddrmsg *header;

	begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	header = append(sizeof *header);
	header->ifa_family = AF_INET;
	header->ifa_prefixlen = prefix;
	header->ifa_index = index;
	number(IFA_LOCAL, htonl(value));
	number(IFA_ADDRESS, htonl(value));
	end();
}

static void default_route(int index, uint32_t gateway)
{
	struct rtmsg *header;

	begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	header = append(sizeof *header);
	header->rtm_family = AF_INET;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = RTPROT_STATIC;
	header->rtm_type = RTN_UNICAST;
	number(RTA_GATEWAY, htonl(gateway));
	number(RTA_OIF, index);
	end();
}

/* ---- namespaces ---- */

static int current_space(void)
{
	int name = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (name < 0)
		die("open /proc/self/ns/net");
	return name;
}

static void enter(int space)
{
	if (setns(space, CLONE_NEWNET))
		die("setns");
}

static int route_socket(void)
{
	int one = 1, size = 1 << 20;
	int route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (route < 0)
		die("socket");
	setsockopt(route, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	setsockopt(route, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(route, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return route;
}

static struct space new_space(void)
{
	struct space fresh;

	if (unshare(CLONE_NEWNET))
		die("unshare");
	fresh.name = current_space();
	fresh.route = route_socket();
	return fresh;
}

static void drop(struct space space)
{
	close(space.route);
	close(space.name);
}

/* ---- one echo ---- */

static uint16_t checksum(const void *data, int size)
{
	const uint16_t *word = data;
	uint32_t sum = 0;

	for (; size > 1; size -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

static int icmp_socket(void)
{
	struct timeval limit = {.tv_sec = TIMEOUT};
	int echo = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (echo < 0)
		die("raw ICMP socket");
	setsockopt(echo, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return echo;
}

static int answered(int echo, uint16_t id)
{
	char packet[512];

	for (;;) {
		struct icmphdr *reply = (struct icmphdr *)(packet + sizeof(struct iphdr));
		int size = recv(echo, packet, sizeof packet, 0);

		if (size < 0)
			return 0;
		if (reply->type == ICMP_ECHOREPLY && reply->un.echo.id == id)
			return 1;
	}
}

static int ping(uint32_t to)
{
	char packet[64] = {0};
	struct icmphdr *request = (struct icmphdr *)packet;
	struct sockaddr_in far = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(to)};
	int echo = icmp_socket(), ok;

	request->type = ICMP_ECHO;
	request->un.echo.id = htons(getpid() & 0xffff);
	request->checksum = checksum(packet, sizeof packet);
	ok = sendto(echo, packet, sizeof packet, 0, (struct sockaddr *)&far, sizeof far) > 0;
	ok = ok && answered(echo, request->un.echo.id);
	close(echo);
	return ok;
}

/* ---- the network ---- */

static const uint32_t GATEWAY = 10u << 24 | 40 << 16 | 80 << 8 | 1;
static struct space host, sandboxes[MOST];

static uint32_t sandbox_address(int number)
{
	return GATEWAY + 10 + number;
}

static void wire_host(int count, int prefix)
{
	char name[IFNAMSIZ];

	link_up(LOOPBACK);
	bridge("br01", BRIDGE);
	address(BRIDGE, GATEWAY, prefix);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "veth%02d", i + 1);
		veth(name, PORT + i, "eth0", sandboxes[i].name);
		flush_when_full(host.route);
	}
	flush(host.route);
}

static void wire_sandboxes(int count, int prefix)
{
	for (int i = 0; i < count; i++) {
		link_up(LOOPBACK);
		link_up(PORT);
		address(PORT, sandbox_address(i + 1), prefix);
		default_route(PORT, GATEWAY);
		link_settled(PORT);
		flush(sandboxes[i].route);
	}
}

static void settle_ports(int count)
{
	for (int i = 0; i < count; i++) {
		link_settled(PORT + i);
		flush_when_full(host.route);
	}
	flush(host.route);
}

static void build(int count)
{
	int prefix = count <= 240 ? 24 : 20;

	host = new_space();
	for (int i = 0; i < count; i++)
		sandboxes[i] = new_space();
	wire_host(count, prefix);
	wire_sandboxes(count, prefix);
	settle_ports(count);
}

static void ping_last_from_first(int count)
{
	enter(sandboxes[0].name);
	if (!ping(sandbox_address(count)))
		die("the last sandbox did not answer");
}

static void down(int count, int home)
{
	enter(home);
	for (int i = 0; i < count; i++)
		drop(sandboxes[i]);
	drop(host);
}

/* ---- the two commands ---- */

static double now(void)
{
	struct timespec moment;

	clock_gettime(CLOCK_MONOTONIC, &moment);
	return moment.tv_sec * 1e3 + moment.tv_nsec / 1e6;
}

static void measure(int count, int home)
{
	double start = now(), built, pinged, gone;

	build(count);
	built = now();
	ping_last_from_first(count);
	pinged = now();
	down(count, home);
	gone = now();
	printf("{\"build\": %.4f, \"ping\": %.4f, \"down\": %.4f}\n", built - start, pinged - built, gone - pinged);
}

static void allow_many_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int serve(void)
{
	char line[32];
	int home = current_space();

	allow_many_files();
	setlinebuf(stdout);
	puts("{\"ready\": \"C, raw batched rtnetlink\"}");
	while (fgets(line, sizeof line, stdin)) {
		int count = atoi(line);

		if (count < 2 || count > MOST) {
			fprintf(stderr, "floor: %d sandboxes: give 2 to %d\n", count, MOST);
			return 2;
		}
		measure(count, home);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "ping"))
		return !ping(ntohl(inet_addr(argv[2])));
	if (argc == 1)
		return serve();
	fputs("usage: floor | floor ping ADDRESS\n", stderr);
	return 2;
}
