package org.pairlight

import android.graphics.Rect
import android.media.Image
import java.io.File
import java.nio.ByteBuffer
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import javax.imageio.ImageIO
import kotlin.concurrent.thread
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.first
import org.junit.jupiter.api.Assertions.assertInstanceOf

/** Programs of this repository, as the build made them. */
private fun program(name: String): String = System.getProperty("pairlight.programs") + "/" + name

/** A running program whose words are read as they come: a file and its arguments. */
class Program(line: List<String>) : AutoCloseable {
    /** One of this repository. */
    constructor(vararg line: String) : this(listOf(program(line[0])) + line.drop(1))

    private val process: Process = ProcessBuilder(line).apply {
        environment().keys.removeIf { it.startsWith("PAIRLIGHT_") }
        redirectErrorStream(true)
    }.start()
    private val words = LinkedBlockingQueue<String>()
    private val heard = mutableListOf<String>()

    init {
        thread(isDaemon = true) { process.inputStream.bufferedReader().forEachLine(words::add) }
    }

    /** Waits for a line with [part] in it. */
    fun hear(part: String): String {
        val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S)
        while (System.nanoTime() < deadline) {
            val wasAlive = process.isAlive
            val line = words.poll(100, TimeUnit.MILLISECONDS) ?: if (wasAlive) continue else break
            heard += line
            if (part in line) return line
        }
        error("never heard \"$part\"; heard $heard")
    }

    fun type(line: String) = process.outputStream.run {
        write("$line\n".toByteArray())
        flush()
    }

    /** Waits for its end; gives its exit code. */
    fun end(patienceS: Long = PATIENCE_S): Int {
        check(process.waitFor(patienceS, TimeUnit.SECONDS)) { "does not end; heard ${said()}" }
        return process.exitValue()
    }

    /** What it has said so far. */
    fun said(): List<String> = heard + words

    override fun close() {
        process.destroyForcibly().waitFor()
    }

    companion object {
        const val PATIENCE_S = 60L

        fun run(vararg line: String) = Program(*line).use {
            val code = it.end()
            check(code == 0) { "${line.toList()} ended with $code: ${it.said()}" }
        }
    }
}

/** Waits for something that comes soon, or never. */
fun until(what: String, done: () -> Boolean) {
    val began = System.nanoTime()
    while (!done()) {
        if (System.nanoTime() - began > 60_000_000_000) error("it never came: $what")
        Thread.sleep(1)
    }
}

/** Waits until the library does no more than [idle] tasks. */
fun untilIdle(idle: Int): Unit = until("no more than $idle tasks") { Pairlight.activity().tasks <= idle }

/** The tasks of the library once what earlier tests closed has ended: the number holds still for a while. */
fun settledTasks(): Int {
    var (tasks, since) = Pairlight.activity().tasks to System.nanoTime()
    while (System.nanoTime() - since < 300_000_000) {
        Thread.sleep(5)
        val now = Pairlight.activity().tasks
        if (now != tasks) {
            tasks = now
            since = System.nanoTime()
        }
    }
    return tasks
}

/** A relay of its own process with these limits on top of generous ones, and a folder that goes with it. */
class World(vararg limits: String) : AutoCloseable {
    private val folder: Path = Files.createTempDirectory("pairlight-jvm")
    private val started = mutableListOf<Program>()
    private val relay =
        Program("pairlight", "relay", "--listen", "127.0.0.1:0", "--limits", "generous", "--data-dir", path("relay"), *limits)

    val address: RelayAddress = relay.hear("attestation key").split(Regex("\\s+")).let { words ->
        RelayAddress(url = words[words.indexOf("relay") + 1], key = words[words.indexOf("key") + 1])
    }

    fun path(name: String): String = folder.resolve(name).toString()

    /** A terminal that wants to be linked: the real program. */
    fun show() = own("link", "show", "--profile", path("laptop"), "--relay", address.url, "--text")

    fun laptop(vararg line: String) =
        own(line[0], "--profile", path("laptop"), "--relay", address.url, *line.drop(1).toTypedArray())

    /** Ends with this world, if not before. */
    private fun own(vararg line: String) = Program("pairlight", *line).also(started::add)

    /** What the simulated camera sees of a code on a screen: brightness without gaps. */
    fun photograph(text: String, seed: Int = 1): Photo {
        val file = path("shot-$seed.png")
        Program.run("pairlight-lens", "shoot", "--text", text, "--condition", "nominal", "--seed", "$seed", "--out", file)
        val picture = ImageIO.read(File(file))
        val luma = ByteArray(picture.width * picture.height)
        val pixel = IntArray(4)
        for (y in 0 until picture.height) for (x in 0 until picture.width) {
            picture.raster.getPixel(x, y, pixel)
            val value = if (picture.raster.numBands == 1) pixel[0] else (pixel[0] * 77 + pixel[1] * 151 + pixel[2] * 28) / 256
            luma[y * picture.width + x] = value.toByte()
        }
        return Photo(picture.width, picture.height, luma)
    }

    override fun close() {
        started.forEach(Program::close)
        relay.close()
        folder.toFile().deleteRecursively()
    }
}

/** Links a tablet of this process. Gives its id. */
suspend fun CoroutineScope.linked(phone: PrimaryAccount, tablet: LinkedAccount): String {
    val show = tablet.link("Tablet", "Android", "test", this)
    val link = phone.link(show.code().text.toByteArray(), CodeSource.LIVE_CAMERA, this)
    link.state.first { it is LinkState.Review }
    link.approve()
    val digits = (link.state.first { it is LinkState.ShowCheckCode } as LinkState.ShowCheckCode).digits
    show.state.first { it is ShowState.EnterCheckCode }
    show.enterCheckCode(digits)
    assertInstanceOf(ShowState.Linked::class.java, show.await())
    return (link.await() as LinkState.Linked).device
}

/** The code that it shows first. */
suspend fun ShowFlow.code(): CodePicture = (state.first { it is ShowState.ShowCode } as ShowState.ShowCode).code

class Photo(val width: Int, val height: Int, val luma: ByteArray) {
    companion object {
        fun black(): Photo = Photo(64, 64, ByteArray(64 * 64))

        /** A code as sharp as can be: 4 pixels to a module. */
        fun of(code: CodePicture): Photo {
            val side = (code.size + 8) * 4
            return Photo(side, side, ByteArray(side * side) { i ->
                val (column, row) = i % side / 4 - 4 to i / side / 4 - 4
                val isDark = column in 0 until code.size && row in 0 until code.size && code.modules[row * code.size + column]
                if (isDark) 0 else -1
            })
        }
    }

    /** The picture as a sensor that is built in sideways gives it: upright after a clockwise turn of [degrees]. */
    fun turnedBack(degrees: Int): Photo = when (degrees) {
        0 -> this
        90 -> Photo(height, width, ByteArray(luma.size) { i ->
            val (x, y) = i % height to i / height
            luma[x * width + (width - 1 - y)]
        })
        180 -> Photo(width, height, luma.reversedArray())
        270 -> turnedBack(90).turnedBack(180)
        else -> error("no such turn")
    }
}

/** An [Image] as a camera gives it: padded rows, gaps between pixels, and a buffer that does not begin at its start. */
class SyntheticImage(
    private val photo: Photo,
    private val rowPadding: Int = 0,
    private val pixelStride: Int = 1,
    private val leading: Int = 0,
    private val crop: Rect? = null,
) : Image() {
    var isClosed = false
        private set

    init {
        mIsImageValid = true
    }

    private val rowStride = photo.width * pixelStride + rowPadding
    private val buffer: ByteBuffer = ByteBuffer.allocateDirect(leading + rowStride * photo.height).apply {
        // What is not picture is noise: whoever reads it by mistake reads no code.
        for (i in 0 until capacity()) put(i, (i * 37).toByte())
        for (y in 0 until photo.height) for (x in 0 until photo.width) {
            put(leading + y * rowStride + x * pixelStride, photo.luma[y * photo.width + x])
        }
        position(leading)
        // As the platform does: nothing after the last pixel.
        limit(leading + rowStride * (photo.height - 1) + (photo.width - 1) * pixelStride + 1)
    }

    override fun getFormat(): Int = android.graphics.ImageFormat.YUV_420_888
    override fun getWidth(): Int = photo.width
    override fun getHeight(): Int = photo.height
    override fun getTimestamp(): Long = 0
    override fun getTransform(): Int = 0
    override fun getScalingMode(): Int = 0
    override fun getCropRect(): Rect = crop ?: Rect(0, 0, width, height)
    override fun getPlanes(): Array<Plane> = arrayOf(object : Plane() {
        override fun getRowStride(): Int = this@SyntheticImage.rowStride
        override fun getPixelStride(): Int = this@SyntheticImage.pixelStride
        override fun getBuffer(): ByteBuffer = this@SyntheticImage.buffer
    })

    override fun close() {
        isClosed = true
    }
}

/** Wraps with a key of this process. */
class SoftKey : KeyWrap {
    override fun wrap(key: ByteArray): ByteArray = ByteArray(key.size) { (key[it].toInt() xor 0x5A).toByte() }
    override fun unwrap(wrapped: ByteArray): ByteArray = wrap(wrapped)
}

/** Where `contain.rs` reads which function shall panic. */
object Planted {
    private val file = File(System.getenv("PAIRLIGHT_PANIC_IN"))

    fun <T> within(name: String, work: () -> T): T {
        file.writeText(name)
        try {
            return work()
        } finally {
            file.writeText("")
        }
    }
}
