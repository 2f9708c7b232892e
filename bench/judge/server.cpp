// A server of chat completions that costs next to nothing: one thread, epoll, replies of a fixed form. Linux.
//
//   bench_judge_server            listens on 127.0.0.1, prints {"port": N}, and ends when its standard input
//   does
//
// The path before /v1 tells what a client wants: any of `fixed-MS` or `tail-MS` (a log-normal delay of that
// median, at most 20 times as long), and `rubric`, `grade` or `choice` (the forms that promptfoo, inspect_ai
// and autoevals ask for; otherwise {"score": 1 to 5}, by the length of the question). GET /count: the replies
// so far.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

struct Connection {
  // Tells a socket's number from the same number of a later connection.
  std::uint64_t generation = 0;
  std::string input;
  std::string output;
  // The socket was full: told when it is not.
  bool full = false;
};

struct Due {
  Clock::time_point at;
  int socket;
  std::uint64_t generation;
  std::string reply;
  bool operator<(const Due& other) const { return at > other.at; }
};

// Uniform in (0, 1): the same sequence in every run.
class Random {
 public:
  double next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (static_cast<double>(state_ >> 11) + 0.5) * 0x1.0p-53;
  }
  double normal() { return std::sqrt(-2 * std::log(next())) * std::cos(2 * std::numbers::pi * next()); }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

// The path's segment that starts so, without that start; nothing where there is none.
std::string_view segment(std::string_view path, std::string_view start) {
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.starts_with(start)) return part.substr(start.size());
    at = end + 1;
  }
  return {};
}

bool has(std::string_view path, std::string_view name) { return path.find(name) != std::string_view::npos; }

std::string http(std::string_view body) {
  std::string reply = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
  reply += std::to_string(body.size());
  reply += "\r\n\r\n";
  reply += body;
  return reply;
}

std::string completion(std::string_view path, std::size_t length) {
  const std::string score = std::to_string(1 + length % 5);
  std::string message = R"("role":"assistant","refusal":null,"annotations":[],)";
  std::string_view finish = "stop";
  if (has(path, "/rubric/")) {
    message += R"("content":"{\"reason\":\"It answers.\",\"pass\":true,\"score\":0.8}")";
  } else if (has(path, "/grade/")) {
    message += R"("content":"The answer is right.\n\nGRADE: C")";
  } else if (has(path, "/choice/")) {
    message +=
        R"("content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"select_choice",)";
    message += R"("arguments":"{\"choice\":\"A\"}"}}])";
    finish = "tool_calls";
  } else {
    message += R"("content":"{\"score\": )" + score + R"(}")";
  }
  std::string body = R"({"id":"chatcmpl-0123456789abcdefghijklmnopqrs","object":"chat.completion",)";
  body += R"("created":1764028800,"model":"bench","choices":[{"index":0,"message":{)" + message;
  body += R"(},"logprobs":null,"finish_reason":")";
  body += finish;
  body += R"("}],"usage":{"prompt_tokens":412,"completion_tokens":7,"total_tokens":419,)";
  body += R"("prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0}},"service_tier":"default",)";
  body += R"("system_fingerprint":"fp_0123456789"})";
  return http(body);
}

std::size_t contentLength(std::string_view head) {
  std::string lower(head);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  const std::size_t at = lower.find("\r\ncontent-length:");
  return at == std::string::npos ? 0 : std::strtoull(lower.c_str() + at + 17, nullptr, 10);
}

class Server {
 public:
  Server() : epoll_(epoll_create1(0)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, generic, size) != 0 || listen(listener_, 4096) != 0 ||
        getsockname(listener_, generic, &size) != 0) {
      std::perror("bench_judge_server");
      std::exit(1);
    }
    watch(listener_);
    watch(STDIN_FILENO);
    std::printf("{\"port\": %d}\n", ntohs(address.sin_port));
    std::fflush(stdout);
  }

  void run() {
    std::vector<epoll_event> events(512);
    for (;;) {
      const int count = wait(events);
      for (int index = 0; index < count; index++) {
        const int file = events[static_cast<std::size_t>(index)].data.fd;
        if (file == listener_) {
          acceptAll();
        } else if (file != STDIN_FILENO) {
          serve(file);
        } else if (char byte = 0; read(file, &byte, 1) <= 0) {
          return;
        }
      }
      for (const auto now = Clock::now(); !due_.empty() && due_.top().at <= now; due_.pop()) {
        const Due& next = due_.top();
        const auto found = connections_.find(next.socket);
        if (found == connections_.end() || found->second.generation != next.generation) continue;
        found->second.output += next.reply;
        flush(next.socket, found->second);
      }
    }
  }

 private:
  int wait(std::vector<epoll_event>& events) {
    timespec limit{};
    if (!due_.empty()) {
      const auto left =
          std::max(Nanoseconds(0), std::chrono::duration_cast<Nanoseconds>(due_.top().at - Clock::now()));
      limit.tv_sec = left.count() / 1'000'000'000;
      limit.tv_nsec = left.count() % 1'000'000'000;
    }
    return epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()),
                        due_.empty() ? nullptr : &limit, nullptr);
  }

  void watch(int file, std::uint32_t what = EPOLLIN, int operation = EPOLL_CTL_ADD) {
    epoll_event event{};
    event.events = what;
    event.data.fd = file;
    epoll_ctl(epoll_, operation, file, &event);
  }

  void acceptAll() {
    for (int file = 0; (file = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      const int yes = 1;
      setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      connections_[file].generation = ++generation_;
      watch(file);
    }
  }

  void serve(int file) {
    const auto found = connections_.find(file);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    char block[65536];
    for (;;) {
      const ssize_t got = read(file, block, sizeof block);
      if (got > 0) {
        connection.input.append(block, static_cast<std::size_t>(got));
        if (static_cast<std::size_t>(got) == sizeof block) continue;
      } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        return end(file);
      }
      break;
    }
    while (take(file, connection)) {
    }
    flush(file, connection);
  }

  // One whole request from the input; false where none is there.
  bool take(int file, Connection& connection) {
    const std::string_view input = connection.input;
    const std::size_t head = input.find("\r\n\r\n");
    if (head == std::string_view::npos) return false;
    const std::size_t length = contentLength(input.substr(0, head));
    const std::size_t whole = head + 4 + length;
    if (input.size() < whole) return false;
    const std::size_t from = input.find(' ') + 1;
    const std::string path(input.substr(from, input.find(' ', from) - from));
    if (input.starts_with("GET /count")) {
      connection.output += http(std::to_string(count_));
    } else if (!input.starts_with("POST")) {
      connection.output += http(R"({"object":"list","data":[]})");
    } else {
      count_++;
      std::string reply = completion(path, length);
      const double delay = delayOf(path);
      if (delay > 0) {
        const auto at = Clock::now() + Nanoseconds(static_cast<std::int64_t>(delay * 1e6));
        due_.push({at, file, connection.generation, std::move(reply)});
      } else {
        connection.output += reply;
      }
    }
    connection.input.erase(0, whole);
    return true;
  }

  // Milliseconds.
  double delayOf(std::string_view path) {
    if (const auto fixed = segment(path, "fixed-"); !fixed.empty())
      return std::atof(std::string(fixed).c_str());
    const auto tail = segment(path, "tail-");
    if (tail.empty()) return 0;
    return std::atof(std::string(tail).c_str()) * std::min(20.0, std::exp(random_.normal()));
  }

  void flush(int file, Connection& connection) {
    while (!connection.output.empty()) {
      const ssize_t sent = send(file, connection.output.data(), connection.output.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) {
        connection.full = true;
        return watch(file, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      }
      if (sent < 0) return end(file);
      connection.output.erase(0, static_cast<std::size_t>(sent));
    }
    if (!connection.full) return;
    connection.full = false;
    watch(file, EPOLLIN, EPOLL_CTL_MOD);
  }

  void end(int file) {
    connections_.erase(file);
    close(file);
  }

  int epoll_;
  int listener_;
  std::unordered_map<int, Connection> connections_;
  std::priority_queue<Due> due_;
  std::uint64_t generation_ = 0;
  std::uint64_t count_ = 0;
  Random random_;
};

}  // namespace

int main() {
  Server server;
  server.run();
}
