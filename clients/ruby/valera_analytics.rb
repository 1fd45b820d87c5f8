# frozen_string_literal: true

# Tracks events of a Rails application (or any Ruby >= 2.7) through the gateway of Valera Analytics. One file, standard
# library only: copy it to vendor/ and require it from an initializer; see docs/rails.md.
#
# A call mints the event's id, writes it as JSON into a bounded queue and returns: it never raises and never waits for a
# network or a disk. A thread of its own sends batches. What the gateway does not take goes into files, and from there to
# the gateway once it is back; an event that goes out twice is stored once, because its id stays the same.
#
# It does not check events (the gateway does, and keeps what it refuses) and does not hide personal values (the gateway
# does, before anything is stored): the way to the gateway must be one that you trust.

require "date"
require "fileutils"
require "json"
require "net/http"
require "openssl"
require "set"
require "time"
require "timeout"
require "uri"
require "zlib"

module ValeraAnalytics
  module Events
    DIALOG_STARTED = "ai_dialog_started"
    SERVICE_SUGGESTED = "service_suggested"
    SERVICE_ADDED = "service_added"
    CART_CONFIRMED = "cart_confirmed"
    BOOKING_CREATED = "booking_request_created"
    SUGGESTION_ACCEPTED = "ai_suggestion_accepted"
    RESPONSE_TIME = "ai_response_time"
    ERROR_OCCURRED = "error_occurred"
  end

  # The longest event that the gateway takes, in bytes. The contract allows 64 KiB; what lies between becomes a dead letter.
  MAX_EVENT = 512 * 1024

  def self.monotonic
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Where there is no logger.
  class StandardErrorLog
    def warn(text)
      $stderr.puts(text)
    end
    alias error warn
  end

  # What can be set; the environment gives the defaults. Times are seconds, sizes bytes.
  class Config
    SETTINGS = {
      url: nil, token: nil, enabled: nil, spill_dir: nil, logger: nil,
      queue_events: 10_000, queue_bytes: 16 << 20,        # in memory, what is on its way included
      batch_events: 1_000, batch_bytes: 2 << 20,          # of a request; the gateway takes 1,000 and 4 MiB
      linger: 0.2,                                        # how long a batch waits for company
      spill_bytes: 64 << 20, segment_bytes: 4 << 20,      # of all files in the directory, and of one
      connect_timeout: 2, read_timeout: 10, request_timeout: 20,
      backoff: 0.5, backoff_max: 30, retry_after_max: 300,
      scan: 30,                                           # how often files of dead processes are looked for
      exit_timeout: 3
    }.freeze
    attr_accessor(*SETTINGS.keys)

    def initialize(env = ENV)
      SETTINGS.each { |name, value| public_send("#{name}=", value) }
      self.url = present(env["VALERA_GATEWAY_URL"]) || "http://127.0.0.1:8080"
      self.token = present(env["VALERA_GATEWAY_TOKEN"])&.strip
      self.spill_dir = present(env["VALERA_SPILL_DIR"]) || rails_spill_dir
      self.logger = default_logger
      self.token ||= token_file(present(env["VALERA_GATEWAY_TOKEN_FILE"]))
      self.enabled = enabled_in(env)
    end

    private

    def present(text)
      text unless text.nil? || text.strip.empty?
    end

    def token_file(path)
      path && File.read(path).strip
    rescue SystemCallError => e
      logger.error("valera: VALERA_GATEWAY_TOKEN_FILE cannot be read: #{e.class}; events wait until there is a token")
      nil
    end

    def enabled_in(env)
      set = present(env["ANALYTICS_ENABLED"]) || present(env["VALERA_ANALYTICS_ENABLED"])
      case set && set.strip.downcase
      when "true", "1", "yes", "on" then return true
      when "false", "0", "no", "off" then return false
      when nil then nil
      else logger.warn("valera: ANALYTICS_ENABLED must be true or false; the environment's name decides")
      end
      stage = present(env["RAILS_ENV"]) || present(env["RACK_ENV"]) || (rails?(:env) && ::Rails.env.to_s)
      %w[production staging].include?(stage) || !present(env["FORCE_ANALYTICS"]).nil?
    end

    def rails_spill_dir
      ::Rails.root.join("tmp", "valera_analytics").to_s if rails?(:root) && ::Rails.root
    end

    def default_logger
      (rails?(:logger) && ::Rails.logger) || StandardErrorLog.new
    end

    def rails?(method)
      defined?(::Rails) && ::Rails.respond_to?(method)
    end
  end

  # JSON of whatever a caller holds, written here and not with to_json, which frameworks change. As in the SDK, NaN is null,
  # what is nested deeper than 64 levels is null, and so is what holds itself; of a key given twice the last value stands.
  class Json
    class TooLarge < StandardError; end

    DEPTH = 64
    ESCAPED = /["\\\u0000-\u001f]/.freeze
    ESCAPES = (0..31).map { |code| [code.chr, format('\u%04x', code)] }
                     .to_h.merge('"' => '\"', "\\" => "\\\\", "\n" => '\n', "\r" => '\r', "\t" => '\t').freeze

    attr_reader :out

    def initialize(limit = MAX_EVENT)
      @out = String.new(capacity: 512, encoding: Encoding::UTF_8)
      @limit = limit
      @open = {}.compare_by_identity
    end

    def self.generate(value)
      new.tap { |json| json.value(value) }.out
    end

    def self.time(time)
      time.getutc.strftime("%Y-%m-%dT%H:%M:%S.%6NZ")
    end

    # Appends as it is, within the limit.
    def raw(text)
      raise TooLarge if @out.bytesize + text.bytesize > @limit

      @out << text
      self
    end

    def value(value, levels = DEPTH)
      case value
      when nil then raw("null")
      when true then raw("true")
      when false then raw("false")
      when String then string(value)
      when Symbol then string(value.to_s)
      when Integer then raw(value.to_s)
      when Float then raw(value.finite? ? value.to_s : "null")
      when Hash, Array then container(value, levels)
      when Time then string(Json.time(value)) # ActiveSupport lets Time === its TimeWithZone
      else
        begin
          other(value, levels)
        rescue TooLarge
          raise
        rescue StandardError, SystemStackError, ScriptError
          raw("null") # one odd value does not cost the event
        end
      end
      self
    end

    def string(text)
      raise TooLarge if text.bytesize > @limit

      text = utf8(text)
      raw('"').raw(ESCAPED.match?(text) ? text.gsub(ESCAPED, ESCAPES) : text).raw('"')
    end

    private

    def other(value, levels)
      if is?(:BigDecimal, value) then decimal(value)
      elsif ::DateTime === value then string(Json.time(value.to_time))
      elsif ::Date === value then string(value.strftime("%Y-%m-%d"))
      elsif ::Set === value then value(value.to_a, levels)
      elsif ::Struct === value then value(value.to_h, levels)
      elsif is?("ActiveSupport::Duration", value) then value(value.value, levels)
      elsif is?("ActiveSupport::TimeWithZone", value) then string(Json.time(value.utc))
      elsif is?("ActionController::Parameters", value) then value(value.to_unsafe_h, levels)
      else string(value.to_s)
      end
    end

    def is?(name, value)
      Object.const_defined?(name) && Object.const_get(name) === value
    end

    # A plain decimal, so that money keeps its digits; written out only where it is of a sane size.
    def decimal(value)
      return raw("null") unless value.finite?

      string(value.to_s(value.exponent.abs > 400 ? "E" : "F"))
    end

    def container(value, levels)
      return raw("null") if levels.zero? || @open.key?(value)
      raise TooLarge if value.size > @limit / 2

      @open[value] = true
      Hash === value ? object(value, levels - 1) : array(value, levels - 1)
      @open.delete(value) # where something was raised, the event is at its end
    end

    def object(hash, levels)
      members = {}
      hash.to_a.each { |key, value| members[key.to_s] = value } # a copy: another thread may be writing
      raw("{")
      members.each_with_index do |(key, value), index|
        raw(",") unless index.zero?
        string(key).raw(":").value(value, levels)
      end
      raw("}")
    end

    def array(items, levels)
      raw("[")
      items.to_a.dup.each_with_index do |item, index|
        raw(",") unless index.zero?
        value(item, levels)
      end
      raw("]")
    end

    # Valid UTF-8 of any string; what is no character becomes U+FFFD.
    def utf8(text)
      text = String.new(text) unless text.instance_of?(String)
      case text.encoding
      when Encoding::UTF_8 then text.valid_encoding? ? text : text.scrub("\uFFFD")
      when Encoding::BINARY, Encoding::US_ASCII then text.dup.force_encoding(Encoding::UTF_8).scrub("\uFFFD")
      else text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace, replace: "\uFFFD")
      end
    rescue EncodingError
      text.dup.force_encoding(Encoding::UTF_8).scrub("\uFFFD")
    end
  end

  # One event as a line of NDJSON, with an id of its time.
  module Event
    module_function

    # Gives the id and the line.
    def build(name, chat_id, properties, occurred_at, session_id, platform)
      at, sent = moment(occurred_at)
      id = mint(at)
      json = Json.new
      json.raw(%({"event_id":"#{id}","event_name":)).value(name).raw(',"chat_id":').value(chat_id)
      json.raw(',"occurred_at":').value(sent)
      json.raw(',"session_id":').value(session_id) unless session_id.nil?
      json.raw(',"platform":').value(platform) unless platform.nil?
      json.raw(',"properties":').value(properties, Json::DEPTH + 1).raw("}")
      [id, json.out]
    end

    # The time for the id, and what is sent as occurred_at: what is no time is sent as it is, for the gateway to name.
    def moment(given)
      time = case given
             when nil then Time.now
             when Time then given
             when ::DateTime, ::Date then given.to_time
             when Numeric then Time.at(given)
             when String then Time.iso8601(given)
             else return [Time.now, given]
             end
      [time, Json.time(time)]
    rescue ArgumentError, RangeError, FloatDomainError
      [Time.now, given]
    end

    # A UUIDv7: milliseconds of the time, then random bits.
    def mint(time)
      time = time.getutc
      millis = (time.to_i * 1_000 + time.nsec / 1_000_000).clamp(0, (1 << 48) - 1)
      head = format("%012x", millis)
      tail = Random.urandom(10).unpack1("H*")
      "#{head[0, 8]}-#{head[8, 4]}-7#{tail[0, 3]}-#{'89ab'[tail[3].hex & 3]}#{tail[4, 3]}-#{tail[7, 12]}"
    end
  end

  # Tells each thing at most once a minute, and never fails. No properties, no chats. A caller's thread only leaves a note:
  # the worker writes it, for a log may block.
  class Log
    MINUTE = 60
    KINDS = 200 # what is told beyond so many different things is told as one

    def initialize(logger)
      @logger = logger
      @told = {}
      @notes = {}
    end

    def note(kind, text)
      @notes[kind] = text
    end

    def tell_notes
      until @notes.empty?
        kind, text = @notes.shift
        warn(kind, text)
      end
    end

    def warn(kind, text)
      now = ValeraAnalytics.monotonic
      kind = :other unless @told.key?(kind) || @told.size < KINDS
      last = @told[kind]
      return if last && now - last < MINUTE

      @told[kind] = now
      @logger.warn("valera: #{text}")
    rescue StandardError
      nil # a logger that fails has nobody to tell
    end
  end

  # Where events wait while the gateway does not take them: files of NDJSON in one directory that processes may share. A
  # file belongs to whoever holds its lock: the process that writes it, then the one that sends it. What a dead process
  # left has no owner, and the next one that looks takes it. Safe to call from several threads. It does not know what is in
  # a line.
  class Spill
    REJECTED = "events.rejected"
    NAME = "*.ndjson"
    READ = File::RDWR | File::NOFOLLOW | File::BINARY
    MAKE = File::WRONLY | File::APPEND | File::CREAT | File::NOFOLLOW | File::BINARY

    # A file under way to the gateway.
    class Segment
      attr_reader :path

      def initialize(path, file)
        @path, @file, @again = path, file, []
      end

      # The next lines, at most so many and so long together; empty at the end.
      def next(events, bytes)
        lines, size = [], 0
        while lines.size < events && size < bytes && (line = @again.shift || @file.gets("\n", MAX_EVENT + 2))
          line = line.chomp
          next if line.empty?

          lines << line
          size += line.bytesize
        end
        lines
      end

      # These come next once more.
      def put_back(lines)
        @again = lines + @again
      end

      def remove
        File.unlink(@path)
        @file.close
      end

      def close
        @file.close
      end
    end

    def initialize(config, log)
      @dir, @limit, @segment_limit, @log = config.spill_dir, config.spill_bytes, config.segment_bytes, log
      @mutex = Mutex.new
    end

    # Puts lines on the disk; false where that cannot be.
    def append(lines)
      @dir ? @mutex.synchronize { put(lines) } : false
    end

    # Keeps a line that the gateway refuses for good, beside the others.
    def reject(line)
      @dir ? @mutex.synchronize { put_aside(line) } : false
    end

    # The oldest file that nobody owns, now ours; nil where there is none.
    def take
      return unless @dir

      seal
      paths.each do |path|
        next unless File.lstat(path).file? # a pipe would hold us up

        file = File.open(path, READ)
        return Segment.new(path, file) if file.flock(File::LOCK_EX | File::LOCK_NB) && same?(path, file)

        file.close
      rescue SystemCallError => e
        @log.warn(:spill, "cannot read #{path}: #{e.class}") unless Errno::ENOENT === e # another process was quicker
      end
      nil
    end

    # Of all files here, those of others and what was rejected included.
    def bytes
      return 0 unless @dir

      [*paths, File.join(@dir, REJECTED)].sum { |path| File.size?(path) || 0 }
    end

    # Of what waits for the gateway.
    def waiting_bytes
      @dir ? paths.sum { |path| File.size?(path) || 0 } : 0
    end

    # Lets go of the file that is being written: whoever looks next sends it. In a child after a fork this closes the
    # child's copy, and the parent keeps the lock.
    def seal
      @mutex.synchronize { close_current }
    end

    private

    def put(lines)
      data = lines.join("\n") << "\n"
      if bytes + data.bytesize > @limit
        @log.warn(:spill_full, "#{@dir} holds #{@limit} bytes, as many as it may; events wait in memory")
        return false
      end
      @current ||= create
      write(@current, data)
      close_current if @current.size > @segment_limit
      true
    rescue SystemCallError, IOError => e
      @log.warn(:spill, "cannot write to #{@dir}: #{e.class}; events wait in memory")
      close_current
      false
    end

    def put_aside(line)
      return false unless bytes + line.bytesize < @limit

      FileUtils.mkdir_p(@dir, mode: 0o700)
      File.open(File.join(@dir, REJECTED), MAKE, 0o600) do |file|
        file.flock(File::LOCK_EX)
        write(file, "#{line}\n")
      end
      true
    rescue SystemCallError, IOError => e
      @log.warn(:spill, "cannot write to #{@dir}: #{e.class}")
      false
    end

    def close_current
      @current&.close
    rescue SystemCallError, IOError
      nil
    ensure
      @current = nil
    end

    def paths
      Dir.glob(NAME, base: @dir).sort.map { |name| File.join(@dir, name) }
    end

    def create
      FileUtils.mkdir_p(@dir, mode: 0o700)
      name = format("%013d-%d-%s.ndjson", (Time.now.to_r * 1000).floor, Process.pid, Random.urandom(4).unpack1("H*"))
      file = File.open(File.join(@dir, name), MAKE | File::EXCL, 0o600)
      file.flock(File::LOCK_EX | File::LOCK_NB)
      file
    end

    # All of it or nothing, as far as the disk lets us.
    def write(file, data)
      size = file.size
      file.sync = true
      file.write(data)
      file.fdatasync
    rescue SystemCallError
      file.truncate(size) if size
      raise
    end

    def same?(path, file)
      File.identical?(path, file) && File.exist?(path)
    end
  end

  # The gateway over HTTP, one connection that is kept. It does not retry; it says what an answer means for the lines.
  class Gateway
    # kind is :taken, :refused (it is these lines' fault) or :later (it is not); after is what Retry-After says, in seconds;
    # verdicts are the gateway's own on each event.
    Answer = Struct.new(:kind, :why, :after, :verdicts)

    LINES_FAULT = [400, 413, 422].freeze
    LARGEST_ANSWER = 4 << 20

    def initialize(config)
      @config = config
      uri = URI.parse("#{config.url.to_s.strip.chomp('/')}/v1/events")
      @uri = uri if URI::HTTP === uri && uri.host
    rescue URI::Error
      @uri = nil
    end

    def post(lines, timeout)
      return later("VALERA_GATEWAY_URL is no http or https address") unless @uri
      return later("there is no VALERA_GATEWAY_TOKEN") unless @config.token

      request = request(lines.join("\n") << "\n")
      kept = @http&.started?
      begin
        understand(exchange(request, timeout), lines.size)
      rescue SystemCallError, IOError, OpenSSL::SSL::SSLError, Timeout::Error => e
        drop
        # The gateway may have closed a connection that stood idle; that says nothing about the gateway.
        raise if !kept || Timeout::Error === e

        understand(exchange(request, timeout), lines.size)
      end
    rescue StandardError => e
      # Whatever it is, a request that got no answer is sent again.
      drop
      later(e.class.name)
    end

    # Without a word to the other side: after a fork the connection is the parent's.
    def forget
      @http = nil
    end

    def drop
      @http&.finish
    rescue StandardError
      nil
    ensure
      @http = nil
    end

    private

    def request(body)
      request = Net::HTTP::Post.new(@uri)
      request["Authorization"] = "Bearer #{@config.token}"
      request["Content-Type"] = "application/x-ndjson"
      request["Accept-Encoding"] = "identity"
      request["User-Agent"] = "valera-analytics-ruby"
      if body.bytesize > 1024
        request["Content-Encoding"] = "gzip"
        body = Zlib.gzip(body, level: Zlib::BEST_SPEED)
      end
      request.body = body
      request
    end

    # A gateway that sends a byte now and then is held to the timeout too.
    def exchange(request, timeout)
      Timeout.timeout(timeout) do
        @http ||= connect
        body = +""
        response = @http.request(request) do |answer|
          answer.read_body { |part| body << part if body.bytesize < LARGEST_ANSWER }
        end
        drop if response["Connection"].to_s.casecmp?("close")
        [response, body]
      end
    end

    def connect
      http = Net::HTTP.new(@uri.host, @uri.port, nil)
      http.use_ssl = @uri.scheme == "https"
      http.open_timeout = http.ssl_timeout = @config.connect_timeout
      http.read_timeout = http.write_timeout = @config.read_timeout
      http.keep_alive_timeout = 30
      http.max_retries = 0
      http.start
    end

    # Only the gateway's own answer about all of the lines counts: a page of some proxy with status 200 is none.
    def understand((response, body), sent)
      code = response.code.to_i
      after = retry_after(response["Retry-After"])
      return Answer.new(:refused, "status #{code}", after) if LINES_FAULT.include?(code)
      return later("status #{code}", after) unless code == 202

      answer = JSON.parse(body)
      verdicts = answer.is_a?(Hash) && answer.values_at("accepted", "rejected")
      return later("an answer that is not the gateway's") unless verdicts && verdicts.all?(Integer) && verdicts.sum == sent

      Answer.new(:taken, nil, nil, answer)
    rescue JSON::ParserError, EncodingError
      later("an answer that is not the gateway's")
    end

    def retry_after(header)
      return if header.nil?

      seconds = Integer(header, exception: false) || (Time.httpdate(header) - Time.now)
      seconds.clamp(0, @config.retry_after_max)
    rescue ArgumentError
      nil
    end

    def later(why, after = nil)
      Answer.new(:later, why, after)
    end
  end

  # What one process has in hand: its queue, and what was taken from it and is not settled. A child begins a life of its own.
  class Life
    attr_reader :pid, :mutex, :changed, :filling, :idle
    # in_flight is the worker's, to be sent; spilling is the relief's, on its way to the disk; bytes is of all three.
    attr_accessor :queue, :in_flight, :spilling, :bytes, :worker, :relief, :hurry, :stopping

    def initialize
      @pid = Process.pid
      @mutex = Mutex.new
      @changed, @filling, @idle = Array.new(3) { ConditionVariable.new }
      @queue, @in_flight, @spilling, @bytes = [], [], [], 0
    end

    def held
      @queue.size + @in_flight.size + @spilling.size
    end
  end

  # The queue, the worker that sends what is in it, and a relief that takes it to the disk when it fills up meanwhile.
  class Client
    COUNTED = %i[tracked accepted rejected refused spilled drained retries queue_full too_large internal stopped lost].freeze

    attr_reader :config

    def initialize(config = Config.new)
      @config = config
      @log = Log.new(config.logger)
      @birth = Mutex.new
      @counting = Mutex.new
      begin_life
    end

    def enabled?
      @config.enabled ? true : false
    end

    # Gives the event's id where it is on its way, else nil.
    def track(name, chat_id:, properties: {}, occurred_at: nil, session_id: nil, platform: nil)
      return unless @config.enabled

      # What another thread raises in this one (a timeout of the caller's) waits for the end, which is microseconds away:
      # it must not be swallowed here.
      Thread.handle_interrupt(Object => :never) do
        guarded do
          id, line = Event.build(name, chat_id, properties || {}, occurred_at, session_id, platform)
          id if push(line)
        end
      end
    end

    # Waits until what was tracked is with the gateway or on the disk; false where it is not within so many seconds.
    def flush(timeout = 5)
      guarded { await(timeout) { |life| life.hurry = true } } || false
    end

    # Sends or keeps what is queued, within so many seconds, and takes no more. What it could not keep is counted and told.
    def close(timeout = @config.exit_timeout)
      guarded do
        life = current
        await(timeout) { life.stopping = true }
        [life.worker, life.relief].compact.each { |thread| thread.kill.join(0.5) }
        left = life.in_flight + life.spilling + life.queue
        life.in_flight, life.spilling, life.queue = [], [], []
        keep_at_exit(left) unless left.empty?
        @log.tell_notes
        let_go
        nil
      end
    end

    def stats
      guarded do
        life = current
        counted = COUNTED.map { |name| [name, @counts[name]] }.to_h
        counted.merge(enabled: enabled?, queued: life.queue.size, in_flight: life.in_flight.size + life.spilling.size,
                      spilled_bytes: @spill.waiting_bytes, gateway: @trouble ? "away: #{@trouble}" : "up",
                      retry_in: [@next_try - ValeraAnalytics.monotonic, 0].max.round(1))
      end || {}
    end

    # Starts the thread before the first event, so that what an earlier process left is sent.
    def start
      guarded { current.tap { |life| life.mutex.synchronize { ensure_worker(life) } } if @config.enabled }
      nil
    end

    # In a child right after a fork: lets go of what is the parent's.
    def after_fork
      guarded { current }
      nil
    end

    private

    # Nothing but a signal or an exit comes out of a call.
    def guarded
      yield
    rescue Json::TooLarge
      count(:too_large)
      @log.note(:too_large, "an event of more than #{MAX_EVENT} bytes is dropped")
      nil
    rescue SignalException, SystemExit
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException -- a value's to_s may raise anything
      count(:internal)
      @log.note(:internal, "#{e.class} at #{e.backtrace&.first}")
      nil
    end

    def count(name, by = 1)
      @counting.synchronize { @counts[name] += by }
    rescue ThreadError
      @counts[name] += by # in a signal handler
    end

    def current
      return @life if @life.pid == Process.pid

      @birth.synchronize { begin_life if @life.pid != Process.pid }
      @life
    end

    def begin_life
      let_go
      @counts = Hash.new(0)
      @spill = Spill.new(@config, @log)
      @gateway = Gateway.new(@config)
      @failures, @next_try, @next_scan, @trouble = 0, 0.0, 0.0, nil
      @life = Life.new
    end

    # Of the connection and the files, whose locks go with them; in a child they stay the parent's.
    def let_go
      @gateway&.forget
      @spill&.seal
      @segment&.close
      @segment = nil
    end

    def push(line)
      life = current
      life.mutex.synchronize { enqueue(life, line) }
    rescue ThreadError
      # In a signal handler no lock may be taken.
      Thread.new { life.mutex.synchronize { enqueue(life, line) } }
      true
    end

    def enqueue(life, line)
      return turn_away(:stopped, "after the end an event is dropped") if life.stopping

      if life.held >= @config.queue_events || life.bytes + line.bytesize > @config.queue_bytes
        return turn_away(:queue_full, "the queue is full: #{@counts[:queue_full] + 1} events are dropped so far")
      end

      count(:tracked)
      life.queue << line
      life.bytes += line.bytesize
      ensure_worker(life)
      life.changed.signal if life.queue.size == 1 || life.queue.size == @config.batch_events
      relieve(life) if filling?(life)
      true
    end

    def filling?(life)
      size = life.queue.size
      size > @config.queue_events / 2 || (size.positive? && life.bytes > @config.queue_bytes / 2)
    end

    def relieve(life)
      return unless @config.spill_dir

      life.relief = thread("valera-relief") { relief(life) } unless life.relief&.alive?
      life.filling.signal
    end

    def turn_away(outcome, text)
      count(outcome)
      @log.note(outcome, text)
      false
    end

    def ensure_worker(life)
      life.worker = thread("valera-analytics") { work(life) } unless life.worker&.alive?
    end

    def thread(name)
      # A new thread inherits what its maker has put off, and these must be stoppable.
      thread = Thread.new { Thread.handle_interrupt(Object => :immediate) { yield } }
      thread.name = name
      thread.report_on_exception = false
      thread
    rescue ThreadError => e
      @log.note(:thread, "no thread can be started: #{e.message}; events wait in the queue")
      nil
    end

    # Lets the worker know by the block, and waits until nothing is in memory.
    def await(timeout)
      life = current
      deadline = ValeraAnalytics.monotonic + timeout
      life.mutex.synchronize do
        yield life
        until life.held.zero?
          ensure_worker(life)
          life.changed.signal
          left = deadline - ValeraAnalytics.monotonic
          return false unless left.positive?

          life.idle.wait(life.mutex, [left, 0.1].min)
        end
        true
      end
    end

    def keep_at_exit(left)
      keeper = Thread.new { @spill.seal || @spill.append(left) } # a file of its own: the last one may end in half a line
      kept = keeper.join(1) && keeper.value
      count(kept ? :spilled : :lost, left.size)
      @log.warn(:lost, "#{left.size} events are lost at the exit: neither the gateway nor a disk took them") unless kept
    end

    # The relief's thread. While the worker hangs on a gateway that does not answer, or is slower than the application, the queue
    # goes to the disk before it is full. Where the disk takes nothing it looks again a second later.
    def relief(life)
      life.mutex.synchronize do
        life.queue.unshift(*life.spilling) # of a relief that died
        life.spilling = []
      end
      until life.stopping
        batch = life.mutex.synchronize do
          life.filling.wait(life.mutex) until filling?(life) || life.stopping
          life.spilling = life.stopping ? [] : life.queue.shift(life.queue.size) # all: who tracks in a loop lets few others run
        end
        kept = batch.empty? || @spill.append(batch)
        count(:spilled, batch.size) if kept
        life.mutex.synchronize do
          kept ? life.bytes -= batch.sum(&:bytesize) : life.queue.unshift(*batch)
          life.spilling = []
          life.idle.broadcast
          life.filling.wait(life.mutex, 1) unless kept || life.stopping
        end
      end
    end

    # The worker's thread.
    def work(life)
      until life.stopping && life.queue.empty? && life.in_flight.empty?
        # What a failure left in flight goes first.
        batch = life.in_flight.empty? ? next_batch(life) : life.in_flight
        return unless deliver(life, batch)

        drain unless life.stopping
        @log.tell_notes
      end
    rescue StandardError => e
      @log.warn(:worker, "#{e.class} at #{e.backtrace&.first}; goes on")
      back_off(e.class.name)
      retry_later(life)
      retry
    end

    # Takes what is queued: at once when it fills a request or somebody waits, else when it has waited for company.
    # Empty when it is time to look after the files.
    def next_batch(life)
      life.mutex.synchronize do
        company = nil
        until life.stopping || (life.hurry && !life.queue.empty?) || life.queue.size >= @config.batch_events
          now = ValeraAnalytics.monotonic
          company ||= now + @config.linger unless life.queue.empty?
          life.hurry = false if life.queue.empty?
          wait = [company, time_of_files].compact.min - now
          break unless wait.positive?

          life.changed.wait(life.mutex, wait)
        end
        size = 0
        fit = life.queue.first(@config.batch_events).take_while { |line| (size += line.bytesize) <= @config.batch_bytes }
        life.in_flight = life.queue.shift([fit.size, 1].max)
      end
    end

    # Sends a batch, or puts it on the disk, or holds it until one of both can be; false where the end came first.
    def deliver(life, batch)
      owed = batch.empty? || away? ? batch : dispatch(batch)
      until owed.empty?
        if @spill.append(owed)
          count(:spilled, owed.size)
          break
        end
        retry_later(life)
        return false if life.stopping && away?

        owed = dispatch(owed) unless away?
      end
      life.mutex.synchronize do
        life.bytes -= batch.sum(&:bytesize)
        life.in_flight = []
        life.idle.broadcast
      end
      true
    end

    # Sends a part of what lies on the disk.
    def drain
      return if away? || ValeraAnalytics.monotonic < (@segment ? 0 : @next_scan)

      @segment ||= @spill.take
      return @next_scan = ValeraAnalytics.monotonic + @config.scan unless @segment

      lines = @segment.next(@config.batch_events, @config.batch_bytes)
      if lines.empty?
        @segment.remove
        return @segment = nil
      end
      torn, whole = lines.partition { |line| !line.start_with?("{") || !line.end_with?("}") }
      torn.each { |line| refuse(line, "half a line") }
      owed = whole.empty? ? [] : dispatch(whole)
      count(:drained, whole.size - owed.size)
      @segment.put_back(owed)
    rescue SystemCallError, IOError => e
      @log.warn(:spill, "cannot read a file of events: #{e.class}")
      @segment&.close
      @segment = nil
      @next_scan = ValeraAnalytics.monotonic + @config.scan
    end

    # Gives what the gateway does not take now. A request that it refuses is halved until the line at fault is alone.
    def dispatch(lines)
      answer = @gateway.post(lines, @config.request_timeout)
      case answer.kind
      when :taken
        settle(lines, answer.verdicts)
        []
      when :later
        back_off(answer.why, answer.after)
        lines
      when :refused
        return refuse(lines.first, answer.why) if lines.size == 1

        half = lines.size / 2
        owed = dispatch(lines.first(half))
        rest = lines.drop(half)
        owed + (owed.empty? ? dispatch(rest) : rest)
      end
    end

    def settle(lines, verdicts)
      @log.warn(:back, "the gateway is back") if @trouble
      @failures, @trouble = 0, nil
      count(:accepted, verdicts["accepted"])
      count(:rejected, verdicts["rejected"])
      return if verdicts["rejected"].zero?

      Array(verdicts["events"]).each do |verdict|
        name_rejected(lines, verdict) if verdict.is_a?(Hash) && verdict["status"] == "rejected"
      end
    end

    # The gateway keeps a rejected event among the dead letters; here its name and the reasons are told.
    def name_rejected(lines, verdict)
      name = JSON.parse(lines.fetch(verdict["index"]))["event_name"].to_s[/\A[a-z][a-z0-9_]{0,49}\z/] || "(no legal name)"
      reasons = Array(verdict["reasons"]).map do |reason|
        [reason["reason"].to_s[/\A[a-z_]{1,40}\z/], reason["path"].to_s[/\A[A-Za-z0-9_.\[\]]{1,80}\z/]].compact.join(" ")
      end
      @log.warn([name, reasons], "#{name} is rejected and kept as a dead letter: #{reasons.join(', ')}")
    rescue StandardError
      @log.warn(:rejected, "an event is rejected and kept as a dead letter")
    end

    # Puts a line aside that nobody will ever take.
    def refuse(line, why)
      kept = @spill.reject(line)
      count(kept ? :refused : :lost)
      @log.warn(:refused, "an event is refused for good (#{why}) and #{kept ? "kept in #{Spill::REJECTED}" : 'lost'}")
      []
    end

    def away?
      ValeraAnalytics.monotonic < @next_try
    end

    def back_off(why, after = nil)
      count(:retries)
      @failures += 1
      @trouble = why
      longest = [@config.backoff * 2**[@failures - 1, 20].min, @config.backoff_max].min
      @next_try = ValeraAnalytics.monotonic + [after || 0, longest * (0.5 + rand / 2)].max
      @next_scan = 0.0
      @log.warn(:away, "the gateway does not take events (#{why}); they are kept and sent again")
    end

    # When the files want looking after.
    def time_of_files
      @segment ? @next_try : [@next_try, @next_scan].max
    end

    # Until the next try, or the end.
    def retry_later(life)
      life.mutex.synchronize do
        until life.stopping || !(wait = @next_try - ValeraAnalytics.monotonic).positive?
          life.changed.wait(life.mutex, wait)
        end
      end
    end
  end

  # Lets a child go free of its parent's files and connection at once, where Ruby says when (3.1 and newer).
  module AfterFork
    def _fork
      super.tap { |pid| ValeraAnalytics.after_fork if pid.zero? }
    end
  end
  Process.singleton_class.prepend(AfterFork) if Process.respond_to?(:_fork)

  @starting = Mutex.new

  class << self
    # Yields the settings; for an initializer, before the first event.
    def configure
      config = Config.new
      yield config
      before, @client = @client, Client.new(config)
      before&.close
      nil
    end

    def client
      @client || @starting.synchronize { @client ||= Client.new }
    end

    # Puts an event on its way and gives its id; nil where tracking is off or the event could not be taken, which is counted.
    # Never raises, never waits.
    def track(event_name, chat_id:, properties: {}, occurred_at: nil, session_id: nil, platform: nil)
      client.track(event_name, chat_id: chat_id, properties: properties, occurred_at: occurred_at,
                               session_id: session_id, platform: platform)
    end

    # The assistant answered, after so many milliseconds.
    def track_response_time(chat_id, duration_ms, model_used)
      now = Time.now
      properties = { duration_ms: whole(duration_ms), model_used: model_used,
                     timestamp: (now.to_i * 1_000_000 + now.usec) / 1e6 }
      track(Events::RESPONSE_TIME, chat_id: chat_id, properties: properties, occurred_at: now)
    end

    def track_conversion(event_name, chat_id, conversion_data)
      track(event_name, chat_id: chat_id, properties: conversion_data)
    end

    # Something failed. An exception that passes several places that tell of it is told once.
    def error(chat_id, exception, context, **more)
      return if !enabled? || told?(exception)

      properties = { error_class: exception.class.name, error_message: message(exception), context: context }
      track(Events::ERROR_OCCURRED, chat_id: chat_id, properties: properties.merge(more))
    end

    # Runs the assistant: tells how long it took or how it failed, and gives or raises what the block does.
    def measure(chat_id, model_used)
      began = monotonic
      result = yield
      track_response_time(chat_id, (monotonic - began) * 1000, model_used)
      result
    rescue StandardError => e
      error(chat_id, e, "assistant", model_used: model_used)
      raise
    end

    def flush(timeout = 5)
      @client ? @client.flush(timeout) : true
    end

    def stats
      client.stats
    end

    # Begins to send what an earlier process left, before the first event.
    def start
      client.start
    end

    def enabled?
      client.enabled?
    end

    def close(timeout = nil)
      @client&.close(*[timeout].compact)
    end

    def after_fork
      @client&.after_fork
    end

    private

    # In whole milliseconds, as the contract wants it; what is no number goes as it is, for the gateway to name.
    def whole(duration_ms)
      Numeric === duration_ms ? duration_ms.round.clamp(0, 2_147_483_647) : duration_ms
    rescue StandardError
      nil
    end

    def told?(exception)
      return true if exception.instance_variable_defined?(:@valera_told)

      exception.instance_variable_set(:@valera_told, true) unless exception.frozen?
      false
    end

    def message(exception)
      (exception.respond_to?(:message) ? exception.message : exception).to_s[0, 2_000]
    rescue StandardError
      nil
    end
  end

  at_exit { close }
end

AnalyticsService = ValeraAnalytics unless defined?(AnalyticsService)
